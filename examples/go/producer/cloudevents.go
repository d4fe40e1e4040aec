package main

import (
	"context"
	"fmt"
	"io"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"mesura/examples/events"
)

// writeCloudEvent puts an intent into a record as a CloudEvent.
func writeCloudEvent(record *kgo.Record, intent events.Intent, mode string) error {
	envelope := event.New()
	envelope.SetID(intent.IntentID)
	envelope.SetSource("/examples/go")
	envelope.SetType("mesura.intent")
	envelope.SetSubject(intent.CustomerID)
	if err := envelope.SetData(event.ApplicationJSON, intent); err != nil {
		return err
	}
	ctx, writer, message := context.Background(), &recordWriter{record}, binding.ToMessage(&envelope)
	var err error
	switch mode {
	case "structured":
		_, err = binding.Write(binding.WithForceStructured(ctx), message, writer, writer)
	case "binary":
		_, err = binding.Write(binding.WithForceBinary(ctx), message, writer, writer)
	default:
		err = fmt.Errorf("CLOUDEVENTS is %s; it can be none, structured or binary", mode)
	}
	return err
}

// recordWriter is what the SDK writes Kafka's two modes with: it has bindings for other clients and none for franz-go.
type recordWriter struct {
	record *kgo.Record
}

var (
	_ binding.StructuredWriter = (*recordWriter)(nil)
	_ binding.BinaryWriter     = (*recordWriter)(nil)
)

func (writer *recordWriter) SetStructuredEvent(_ context.Context, form format.Format, value io.Reader) error {
	writer.header("content-type", form.MediaType())
	return writer.SetData(value)
}

func (*recordWriter) Start(context.Context) error { return nil }

func (*recordWriter) End(context.Context) error { return nil }

func (writer *recordWriter) SetData(value io.Reader) (err error) {
	writer.record.Value, err = io.ReadAll(value)
	return err
}

func (writer *recordWriter) SetAttribute(attribute spec.Attribute, value any) error {
	if attribute.Kind() == spec.DataContentType {
		return writer.set("content-type", value)
	}
	return writer.set("ce_"+attribute.Name(), value)
}

func (writer *recordWriter) SetExtension(name string, value any) error {
	return writer.set("ce_"+name, value)
}

func (writer *recordWriter) set(name string, value any) error {
	if value == nil {
		return nil
	}
	text, err := types.Format(value)
	if err != nil {
		return err
	}
	writer.header(name, text)
	return nil
}

func (writer *recordWriter) header(name, value string) {
	writer.record.Headers = append(writer.record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
}
