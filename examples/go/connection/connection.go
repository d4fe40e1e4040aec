// Package connection is what both examples are told by environment variables; docs/clients.md has the list.
package connection

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Setting is a variable, or the default.
func Setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Required is a variable that has no default.
func Required(name string) (string, error) {
	if value := os.Getenv(name); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("%s is not set; docs/clients.md says what it is for", name)
}

// Options say how any client connects: with TLS if there is a certificate authority or KAFKA_TLS is on, with a login if
// there is a mechanism.
func Options() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(Setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"), ",")...),
	}
	trusted := os.Getenv("KAFKA_SSL_CA_LOCATION")
	if trusted != "" || os.Getenv("KAFKA_TLS") == "on" {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if trusted != "" {
			pem, err := os.ReadFile(trusted)
			if err != nil {
				return nil, err
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s holds no certificate in PEM", trusted)
			}
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	login, err := login()
	if err != nil {
		return nil, err
	}
	if login != nil {
		options = append(options, kgo.SASL(login))
	}
	return options, nil
}

func login() (sasl.Mechanism, error) {
	name := os.Getenv("KAFKA_SASL_MECHANISM")
	if name == "" {
		return nil, nil
	}
	path := os.Getenv("KAFKA_SASL_PASSWORD_FILE")
	if path == "" {
		return nil, errors.New("KAFKA_SASL_PASSWORD_FILE is not set: a login needs the file that holds its password")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	user, password := os.Getenv("KAFKA_SASL_USERNAME"), strings.TrimRight(string(text), "\r\n")
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("KAFKA_SASL_MECHANISM is %s; it can be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", name)
}
