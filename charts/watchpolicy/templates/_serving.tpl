{{/* Flags of what is served, one a line. */}}
{{- define "watchpolicy.servingArgs" -}}
- --serve-violations={{ .Values.violations.enabled }}
{{- if .Values.metrics.auth }}
- --metrics-auth
{{- end }}
{{- if .Values.tls.secretName }}
- --tls-cert-file=/etc/watchpolicy/tls/tls.crt
- --tls-key-file=/etc/watchpolicy/tls/tls.key
{{- end }}
{{- end }}

{{/* The scheme of probes and scrapers. */}}
{{- define "watchpolicy.scheme" -}}
{{- if .Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{- define "watchpolicy.volumes" -}}
{{- if .Values.tls.secretName }}
- name: tls
  secret:
    secretName: {{ .Values.tls.secretName | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "watchpolicy.volumeMounts" -}}
{{- if .Values.tls.secretName }}
- name: tls
  mountPath: /etc/watchpolicy/tls
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How Prometheus scrapes a pod or the Service: what ServiceMonitor and PodMonitor have in common. */}}
{{- define "watchpolicy.endpoint" -}}
port: http
path: /metrics
{{- with .Values.monitoring.interval }}
interval: {{ . | quote }}
{{- end }}
{{- if .Values.tls.secretName }}
scheme: https
{{- with .Values.monitoring.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.metrics.auth }}
{{- with .Values.monitoring.authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
