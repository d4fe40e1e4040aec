package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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
