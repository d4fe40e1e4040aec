// Reads manifests as Kubernetes' own types, strictly: a field that does not exist, stands twice or has another type is an error.
//
//	decode < manifests.yaml
//
// One line for each document: its kind and name. Of what is none of Kubernetes' own or of the Prometheus operator's,
// the line says that it was not read. The exit code is 1 if anything is amiss.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"apps/v1 StatefulSet":                     func() any { return new(apps.StatefulSet) },
	"v1 ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1 Service":                              func() any { return new(core.Service) },
	"v1 ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"networking.k8s.io/v1 NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"policy/v1 PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

func main() {
	failed := false
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println("unreadable:", err)
			os.Exit(1)
		}
		var head struct {
			meta.TypeMeta   `json:",inline"`
			meta.ObjectMeta `json:"metadata"`
		}
		if err := strict.Unmarshal(document, &head); err != nil {
			fmt.Println("unreadable:", err)
			failed = true
			continue
		}
		if head.Kind == "" {
			continue // a file that renders to a comment
		}
		name := fmt.Sprintf("%s %s", head.APIVersion, head.Kind)
		make, known := kinds[name]
		switch {
		case !known:
			fmt.Printf("not read: %s %s\n", name, head.Name)
		default:
			if err := strict.UnmarshalStrict(document, make()); err != nil {
				fmt.Printf("amiss: %s %s: %v\n", name, head.Name, err)
				failed = true
				continue
			}
			fmt.Printf("read: %s %s\n", name, head.Name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
