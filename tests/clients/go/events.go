package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Header is a record's header; a nil value is Kafka's null.
type Header struct {
	Name  string
	Value []byte
}

// Record is what any of the libraries is asked to publish.
type Record struct {
	Topic   string
	Key     []byte
	Value   []byte
	Headers []Header
}

// Events are those of one run, as records: JSON by encoding/json.
type Events struct {
	task *Task
	run  *Run
}

func (events *Events) customer(number int) string {
	return fmt.Sprintf("%s%d", events.run.CustomerPrefix, number)
}

// saying is which no a customer of this number says, if any.
func saying(number int) string {
	return []string{"opt_out", "opt_out", "stop", ""}[number%4]
}

// isSpecial is false for every second group of four: there a no in the special form meets intents that can be read.
func isSpecial(number int) bool {
	return number/4%2 == 0
}

func (events *Events) no(number int) (Record, error) {
	at, err := events.time(number)
	if err != nil {
		return Record{}, err
	}
	customer := events.customer(number)
	if saying(number) == "stop" {
		fields := map[string]any{"customer_id": customer, "type": "reply", "detail": "stop", "channel": "sms", "occurred_at": at}
		return events.record(events.task.Topics.Outcomes, number, fields, false)
	}
	fields := map[string]any{"event_id": "e-" + customer, "customer_id": customer, "type": "opt_out", "effective_at": at}
	return events.record(events.task.Topics.Preferences, number, fields, false)
}

func (events *Events) intent(number int) (Record, error) {
	at, err := events.time(number)
	if err != nil {
		return Record{}, err
	}
	customer := events.customer(number)
	fields := map[string]any{
		"intent_id": "i-" + customer, "customer_id": customer, "channel": "sms", "purpose": "service", "created_at": at,
	}
	return events.record(events.task.Topics.Intents, number, fields, isSpecial(number))
}

// time is now, as a Go program comes to write it. What is returned is given to encoding/json as it is.
func (events *Events) time(number int) (any, error) {
	form := events.run.Time
	if !isSpecial(number) {
		form = "millis"
	}
	now := time.Now()
	switch form {
	case "millis":
		return now.UnixMilli(), nil
	case "time.RFC3339Nano":
		return now.Format(time.RFC3339Nano), nil
	case "time.RFC3339":
		return now.UTC().Format(time.RFC3339), nil
	case "time.Time in encoding/json":
		return now.In(time.FixedZone("", -5*3600)), nil
	case "Time.String":
		return now.String(), nil
	case "time.RFC1123Z":
		return now.Format(time.RFC1123Z), nil
	}
	return nil, fmt.Errorf("no form of time: %s", form)
}

func (events *Events) record(topic string, number int, fields map[string]any, isBrokenWithHeaders bool) (Record, error) {
	value, err := json.Marshal(fields)
	if err != nil {
		return Record{}, err
	}
	record := Record{Topic: topic, Key: []byte(events.customer(number)), Value: value}
	switch events.run.Form {
	case "plain":
	case "headers":
		if isBrokenWithHeaders {
			record.Value = value[:len(value)-1]
		}
		record.Headers = []Header{
			{"trace", nil}, {"trace", []byte{0, 255, 10}}, {"", []byte("nameless")}, {"kafka_correlationId", []byte{}},
		}
	default:
		return Record{}, fmt.Errorf("no form: %s", events.run.Form)
	}
	return record, nil
}
