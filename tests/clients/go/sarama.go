package main

import (
	"context"
	"fmt"
	"hash"

	"github.com/IBM/sarama"
)

type saramaProducer struct {
	producer sarama.SyncProducer
}

func openSarama(address, codec, partitioner string) (Producer, error) {
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	chosen, isNamed := codecs[codec]
	if !isNamed {
		return nil, fmt.Errorf("no codec: %s", codec)
	}
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	config.Producer.Compression = chosen
	switch partitioner {
	case "default": // FNV-1a
	case "murmur2":
		// What docs/contracts.md means by a partitioner of one's own: Sarama then takes the hash as unsigned, and Java
		// clears its sign, so the hash is given without it.
		config.Producer.Partitioner = sarama.NewCustomPartitioner(
			sarama.WithCustomHashFunction(newMurmur2), sarama.WithHashUnsigned(),
		)
	default:
		return nil, fmt.Errorf("no partitioner: %s", partitioner)
	}
	producer, err := sarama.NewSyncProducer([]string{address}, config)
	if err != nil {
		return nil, err
	}
	return &saramaProducer{producer}, nil
}

func (producer *saramaProducer) publish(_ context.Context, records []Record) error {
	messages := make([]*sarama.ProducerMessage, 0, len(records))
	for _, record := range records {
		headers := make([]sarama.RecordHeader, 0, len(record.Headers))
		for _, header := range record.Headers {
			headers = append(headers, sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
		}
		messages = append(messages, &sarama.ProducerMessage{
			Topic: record.Topic, Key: sarama.ByteEncoder(record.Key), Value: sarama.ByteEncoder(record.Value), Headers: headers,
		})
	}
	return producer.producer.SendMessages(messages)
}

func (producer *saramaProducer) close() error {
	return producer.producer.Close()
}

// murmur2 is Kafka's hash of a key as a hash.Hash32, its sign cleared.
type murmur2 struct {
	key []byte
}

func newMurmur2() hash.Hash32 { return &murmur2{} }

func (found *murmur2) Write(bytes []byte) (int, error) {
	found.key = append(found.key, bytes...)
	return len(bytes), nil
}

func (found *murmur2) Sum(before []byte) []byte {
	sum := found.Sum32()
	return append(before, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}

func (found *murmur2) Reset()         { found.key = found.key[:0] }
func (found *murmur2) Size() int      { return 4 }
func (found *murmur2) BlockSize() int { return 4 }

func (found *murmur2) Sum32() uint32 {
	const multiplier = 0x5bd1e995
	rest := found.key
	sum := 0x9747b28c ^ uint32(len(rest))
	for len(rest) >= 4 {
		word := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16 | uint32(rest[3])<<24
		word *= multiplier
		word ^= word >> 24
		sum = sum*multiplier ^ word*multiplier
		rest = rest[4:]
	}
	switch len(rest) {
	case 3:
		sum ^= uint32(rest[2]) << 16
		fallthrough
	case 2:
		sum ^= uint32(rest[1]) << 8
		fallthrough
	case 1:
		sum ^= uint32(rest[0])
		sum *= multiplier
	}
	sum ^= sum >> 13
	sum *= multiplier
	sum ^= sum >> 15
	return sum & 0x7fffffff
}
