{{/* Values that are well formed and cannot work: said here in words, instead of by a cluster later. */}}
{{- define "watchpolicy.check" -}}
{{- $pdb := .Values.podDisruptionBudget }}
{{- $min := $pdb.minAvailable | toString }}
{{- $max := $pdb.maxUnavailable | toString }}
{{- $replicas := int .Values.replicaCount }}
{{- if and (gt $replicas 1) (not .Values.leaderElection.enabled) }}
{{- fail (printf "\n\nreplicaCount is %d and leaderElection.enabled is false: all of them would write. Set leaderElection.enabled=true, or replicaCount=1." $replicas) }}
{{- end }}
{{- with .Values.leaderElection }}
{{- $lease := trimSuffix "s" .leaseDuration | int }}
{{- $renew := trimSuffix "s" .renewDeadline | int }}
{{- $retry := trimSuffix "s" .retryPeriod | int }}
{{- if not (and (le $lease 300) (gt $lease $renew) (ge $renew (mul 2 $retry))) }}
{{- fail (printf "\n\nleaderElection has leaseDuration %s, renewDeadline %s and retryPeriod %s: a leader must stop before others may take over, and try more than once before that. Make renewDeadline shorter than leaseDuration, which is 300s at most, and retryPeriod at most half of renewDeadline." .leaseDuration .renewDeadline .retryPeriod) }}
{{- end }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "\n\nserviceAccount.create is false and serviceAccount.name is empty: the operator has no identity of its own, and everything that runs as the namespace's default ServiceAccount would get its rights. Name the ServiceAccount that is there." }}
{{- end }}
{{- if not (or (kindIs "invalid" $pdb.minAvailable) (kindIs "invalid" $pdb.maxUnavailable)) }}
{{- fail "\n\npodDisruptionBudget has both minAvailable and maxUnavailable: Kubernetes takes one of them. Set the other to null." }}
{{- end }}
{{- if and $pdb.enabled (gt $replicas 1) }}
{{- if or (eq $max "0") (eq $max "0%") (eq $min "100%") (and (regexMatch "^[0-9]+$" $min) (ge (int $min) $replicas)) }}
{{- fail (printf "\n\npodDisruptionBudget lets none of the %d pods go: no node that runs one could be drained. Lower minAvailable, or give maxUnavailable=1." $replicas) }}
{{- end }}
{{- end }}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.metrics.service.enabled) }}
{{- fail "\n\nmonitoring.serviceMonitor.enabled needs the Service, and metrics.service.enabled is false. Set it to true, or use monitoring.podMonitor.enabled." }}
{{- end }}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled }}
{{- fail "\n\nmonitoring has both serviceMonitor and podMonitor: every series would be there twice. Choose one." }}
{{- end }}
{{- range $argument := .Values.extraArgs }}
{{- range $flag, $value := dict "--log-level" "log.level" "--log-format" "log.format" "--leader-elect" "leaderElection.enabled" "--lease-name" "fullnameOverride" "--lease-duration" "leaderElection.leaseDuration" "--renew-deadline" "leaderElection.renewDeadline" "--retry-period" "leaderElection.retryPeriod" "--serve-violations" "violations.enabled" "--metrics-auth" "metrics.auth" "--tls-cert-file" "tls.secretName" "--tls-key-file" "tls.secretName" }}
{{- if or (eq $argument $flag) (hasPrefix (printf "%s=" $flag) $argument) }}
{{- fail (printf "\n\nextraArgs has %s, which the chart sets already, and the operator takes it once. Use the value %s." $argument $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
