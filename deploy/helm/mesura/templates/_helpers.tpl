{{- define "mesura.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "mesura.selector" -}}
app.kubernetes.io/name: mesura
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mesura.labels" -}}
{{ include "mesura.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mesura.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ .Values.serviceAccount.name | default (include "mesura.fullname" .) }}
{{- else -}}{{ .Values.serviceAccount.name | default "default" }}{{- end -}}
{{- end -}}

{{- define "mesura.image" -}}
{{- $repository := required "image.repository is empty: say where your registry has the image of deploy/Dockerfile." .Values.image.repository -}}
{{- if .Values.image.digest -}}{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "mesura.policyConfigMap" -}}
{{- if and .Values.policy.text .Values.policy.existingConfigMap -}}
{{- fail "policy.text and policy.existingConfigMap are both given: give one." -}}
{{- else if .Values.policy.existingConfigMap -}}{{ .Values.policy.existingConfigMap }}
{{- else if .Values.policy.text -}}{{ include "mesura.fullname" . }}-policy
{{- else -}}{{- fail "No policy is given: --set-file policy.text=policy.yaml, or policy.existingConfigMap." -}}
{{- end -}}
{{- end -}}

{{- /* Names of topics with their prefix, the intents' in place of the one of the plan. */ -}}
{{- define "mesura.topicNames" -}}
{{- $names := list .name -}}
{{- if eq .name "outbound-intent" -}}{{- $names = .values.topics.intents -}}{{- end -}}
{{- $all := list -}}
{{- range $names -}}{{- $all = append $all (printf "%s%s" $.values.topics.prefix .) -}}{{- end -}}
{{ toJson $all }}
{{- end -}}
