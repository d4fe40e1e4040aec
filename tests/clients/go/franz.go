package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const withoutNews = 60 * time.Second

type franz struct {
	client *kgo.Client
}

// fnv1a hashes as Sarama does unless told otherwise: the trap.
func fnv1a(key []byte) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write(key)
	return hash.Sum32()
}

// openFranz: all acknowledgements and idempotence are franz-go's defaults, and its partitioner hashes by murmur2.
func openFranz(address, codec, partitioner, transactionalID string) (Producer, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	chosen, isNamed := codecs[codec]
	if !isNamed {
		return nil, fmt.Errorf("no codec: %s", codec)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(address), kgo.ProducerLinger(2 * time.Millisecond), kgo.ProducerBatchCompression(chosen),
	}
	switch partitioner {
	case "default":
	case "fnv":
		options = append(options, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(kgo.SaramaHasher(fnv1a))))
	default:
		return nil, fmt.Errorf("no partitioner: %s", partitioner)
	}
	if transactionalID != "" {
		options = append(options, kgo.TransactionalID(transactionalID))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	return &franz{client}, nil
}

func (producer *franz) publish(ctx context.Context, records []Record) error {
	sent := make([]*kgo.Record, 0, len(records))
	for _, record := range records {
		headers := make([]kgo.RecordHeader, 0, len(record.Headers))
		for _, header := range record.Headers {
			headers = append(headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
		sent = append(sent, &kgo.Record{Topic: record.Topic, Key: record.Key, Value: record.Value, Headers: headers})
	}
	return producer.client.ProduceSync(ctx, sent...).FirstErr()
}

func (producer *franz) begin() error {
	return producer.client.BeginTransaction()
}

func (producer *franz) end(ctx context.Context, isCommitted bool) error {
	return producer.client.EndTransaction(ctx, kgo.TransactionEndTry(isCommitted))
}

func (producer *franz) close() error {
	producer.client.Close()
	return nil
}

// serve reads the approvals of this client's customers as a gateway does, and reports each as delivered.
func serve(ctx context.Context, task *Task, results *Results) error {
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(task.BootstrapServers),
		kgo.ConsumerGroup(task.Topics.Approved+"-gateway-"+task.Client),
		kgo.ConsumeTopics(task.Topics.Approved),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer consumer.Close()
	producer, err := openFranz(task.BootstrapServers, "none", "default", "")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for len(seen) < task.Approvals {
		polling, cancel := context.WithTimeout(ctx, withoutNews)
		fetches := consumer.PollFetches(polling)
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d approvals of %d were read: %w", len(seen), task.Approvals, err)
		}
		var reports []Record
		for _, record := range fetches.Records() {
			if !strings.HasPrefix(string(record.Key), task.Client+"-") {
				continue
			}
			var answer struct {
				DecisionID string `json:"decision_id"`
				Type       string `json:"type"`
				CustomerID string `json:"customer_id"`
			}
			if err := json.Unmarshal(record.Value, &answer); err != nil {
				return err
			}
			if err := results.write(map[string]string{"decision_id": answer.DecisionID, "type": answer.Type}); err != nil {
				return err
			}
			if answer.Type != "approved" || seen[answer.DecisionID] {
				continue
			}
			seen[answer.DecisionID] = true
			value, err := json.Marshal(map[string]any{
				"customer_id": answer.CustomerID, "decision_id": answer.DecisionID, "type": "delivered",
				"occurred_at": time.Now().UnixMilli(),
			})
			if err != nil {
				return err
			}
			reports = append(reports, Record{Topic: task.Topics.Outcomes, Key: record.Key, Value: value})
		}
		if err := producer.publish(ctx, reports); err != nil {
			return err
		}
	}
	return producer.close()
}
