package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

type segmentio struct {
	writer *kafka.Writer
}

func openSegmentio(address, codec, partitioner string) (Producer, error) {
	codecs := map[string]kafka.Compression{
		"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd,
	}
	chosen, isNamed := codecs[codec]
	if !isNamed {
		return nil, fmt.Errorf("no codec: %s", codec)
	}
	writer := &kafka.Writer{
		Addr: kafka.TCP(address), RequiredAcks: kafka.RequireAll, Compression: chosen, BatchTimeout: 2 * time.Millisecond,
	}
	switch partitioner {
	case "default": // in turn, whatever the key
	case "murmur2":
		writer.Balancer = kafka.Murmur2Balancer{}
	case "hash":
		writer.Balancer = &kafka.Hash{} // FNV-1a
	default:
		return nil, fmt.Errorf("no partitioner: %s", partitioner)
	}
	return &segmentio{writer}, nil
}

func (producer *segmentio) publish(ctx context.Context, records []Record) error {
	messages := make([]kafka.Message, 0, len(records))
	for _, record := range records {
		headers := make([]kafka.Header, 0, len(record.Headers))
		for _, header := range record.Headers {
			headers = append(headers, kafka.Header{Key: header.Name, Value: header.Value})
		}
		messages = append(messages, kafka.Message{Topic: record.Topic, Key: record.Key, Value: record.Value, Headers: headers})
	}
	return producer.writer.WriteMessages(ctx, messages...)
}

func (producer *segmentio) close() error {
	return producer.writer.Close()
}
