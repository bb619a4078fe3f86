// Judges objects as an API server with Istio's and the Gateway API's own CRDs and Istio's own webhook would.
//
// It reads one JSON object a line: {"id": "...", "object": {...}}. For each it writes a line with what the CRD's schema and rules
// say, and what Istio's validation of the kind says. An object of a kind that neither knows has "known": false.
//
//	judge ANSWERS CRD-FILE... <REQUESTS
//
// Istio's packages log to the standard output, so the answers go to a file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	crdvalidation "istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// longestLine bounds one object, in bytes.
const longestLine = 16 << 20

type request struct {
	ID     string          `json:"id"`
	Object json.RawMessage `json:"object"`
}

type verdict struct {
	ID    string `json:"id"`
	Known bool   `json:"known"`
	// Schema says why the CRD refuses the object; empty when it does not.
	Schema string `json:"schema,omitempty"`
	// Webhook says why Istio's validation refuses it; empty when it does not.
	Webhook string `json:"webhook,omitempty"`
	// Warning is what Istio's validation says of an object that it accepts.
	Warning string `json:"warning,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("usage: judge ANSWERS CRD-FILE... <REQUESTS")
	}
	answers, files := arguments[0], arguments[1:]
	schemas, err := crdvalidation.NewValidatorFromFilesWithOptions(files, crdvalidation.WithoutCRDValidation())
	if err != nil {
		return fmt.Errorf("reading CRDs: %w", err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	file, err := os.Create(answers)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		if err := encoder.Encode(judge(schemas, asked)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.Join(out.Flush(), file.Close())
}

func judge(schemas *crdvalidation.Validator, asked request) (answer verdict) {
	answer.ID = asked.ID
	// Istio's validation is not proof against every object; what it dies of is no acceptance.
	defer func() {
		if cause := recover(); cause != nil {
			answer.Webhook = fmt.Sprint("panic: ", cause)
		}
	}()
	var object unstructured.Unstructured
	// Unlike encoding/json, this reads whole numbers as such, which rules depend on.
	if err := object.UnmarshalJSON(asked.Object); err != nil {
		answer.Schema = err.Error()
		return answer
	}
	kind := object.GroupVersionKind()
	schema, known := collections.All.FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&kind))
	answer.Known = known
	if !known {
		return answer
	}
	if err := schemas.ValidateCustomResource(object.DeepCopy()); err != nil {
		answer.Schema = err.Error()
	}
	if kind.Group == "gateway.networking.k8s.io" {
		return answer
	}
	answer.Webhook, answer.Warning = webhook(schema, asked.Object)
	return answer
}

// webhook is what Istio's admission webhook does with an object.
func webhook(schema resource.Schema, text []byte) (refusal, warning string) {
	var object crd.IstioKind
	if err := json.Unmarshal(text, &object); err != nil {
		return err.Error(), ""
	}
	config, err := crd.ConvertObject(schema, &object, "cluster.local")
	if err != nil {
		return err.Error(), ""
	}
	warnings, err := schema.ValidateConfig(*config)
	if err != nil {
		return err.Error(), ""
	}
	if warnings != nil {
		warning = warnings.Error()
	}
	return "", warning
}
