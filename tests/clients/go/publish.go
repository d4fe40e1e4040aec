package main

import (
	"context"
	"fmt"
	"time"
)

// Producer is what the three libraries have in common here: all records of a call are acknowledged when it returns.
type Producer interface {
	publish(ctx context.Context, records []Record) error
	close() error
}

// Transactional is a producer whose records may be taken back.
type Transactional interface {
	Producer
	begin() error
	end(ctx context.Context, isCommitted bool) error
}

func openProducer(task *Task, run *Run, partitioner, transactionalID string) (Producer, error) {
	switch run.Library {
	case "franz-go":
		return openFranz(task.BootstrapServers, run.Codec, partitioner, transactionalID)
	case "sarama":
		return openSarama(task.BootstrapServers, run.Codec, partitioner)
	case "kafka-go":
		return openSegmentio(task.BootstrapServers, run.Codec, partitioner)
	}
	return nil, fmt.Errorf("no library: %s", run.Library)
}

type line struct {
	Run            string  `json:"run"`
	Number         int     `json:"number"`
	Customer       string  `json:"customer"`
	Said           *string `json:"said"`
	AcknowledgedMs *int64  `json:"acknowledged_ms"`
	Intent         string  `json:"intent"`
}

// publish does one run, wave by wave: the noes of a wave, then, once all of them are acknowledged, an intent of every
// customer. With transactions each wave's intents are one; every third is aborted. Noes never are in one.
func publish(ctx context.Context, task *Task, run *Run, results *Results) error {
	events := &Events{task, run}
	noes, err := openProducer(task, run, run.NoesPartitioner, "")
	if err != nil {
		return err
	}
	transactionalID := ""
	if run.IsTransactional {
		transactionalID = run.CustomerPrefix + "transactions"
	}
	intents, err := openProducer(task, run, run.Partitioner, transactionalID)
	if err != nil {
		return err
	}
	for first := 0; first < run.Customers; first += run.Wave {
		if err := wave(ctx, run, events, noes, intents, first, results); err != nil {
			return err
		}
	}
	if err := noes.close(); err != nil {
		return err
	}
	return intents.close()
}

func wave(ctx context.Context, run *Run, events *Events, noes, intents Producer, first int, results *Results) error {
	end := min(first+run.Wave, run.Customers)
	var said, wanted []Record
	for number := first; number < end; number++ {
		if saying(number) == "" {
			continue
		}
		record, err := events.no(number)
		if err != nil {
			return err
		}
		said = append(said, record)
	}
	if err := noes.publish(ctx, said); err != nil {
		return err
	}
	acknowledgedMs := time.Now().UnixMilli()
	for number := first; number < end; number++ {
		record, err := events.intent(number)
		if err != nil {
			return err
		}
		wanted = append(wanted, record)
	}
	fate, err := send(ctx, run, intents, wanted, first/run.Wave)
	if err != nil {
		return err
	}
	for number := first; number < end; number++ {
		found := line{Run: run.Name, Number: number, Customer: events.customer(number), Intent: fate}
		if no := saying(number); no != "" {
			found.Said, found.AcknowledgedMs = &no, &acknowledgedMs
		}
		if err := results.write(found); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, run *Run, intents Producer, wanted []Record, number int) (string, error) {
	if !run.IsTransactional {
		return "sent", intents.publish(ctx, wanted)
	}
	transactional := intents.(Transactional)
	if err := transactional.begin(); err != nil {
		return "", err
	}
	if err := transactional.publish(ctx, wanted); err != nil {
		return "", err
	}
	isCommitted := number%3 != 2
	fate := "committed"
	if !isCommitted {
		fate = "aborted"
	}
	return fate, transactional.end(ctx, isCommitted)
}
