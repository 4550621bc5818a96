{{/* Values that are well formed and cannot work: said here in words, instead of by a cluster later. */}}
{{- define "watchpolicy.check" -}}
{{- if not (regexMatch "^[a-z]" (include "watchpolicy.fullname" .)) }}
{{- fail (printf "\n\nthe release is named %s, and names of Services start with a letter. Set fullnameOverride." .Release.Name) }}
{{- end }}
{{- include "watchpolicy.check.crds" . }}
{{- include "watchpolicy.check.targets" . }}
{{- include "watchpolicy.check.election" . }}
{{- include "watchpolicy.check.disruption" . }}
{{- include "watchpolicy.check.flags" . }}
{{- include "watchpolicy.check.events" . }}
{{- include "watchpolicy.check.labels" . }}
{{- include "watchpolicy.check.monitoring" . }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "\n\nserviceAccount.create is false and serviceAccount.name is empty: the operator has no identity of its own, and everything that runs as the namespace's default ServiceAccount would get its rights. Name the ServiceAccount that is there." }}
{{- end }}
{{- include "watchpolicy.check.cluster" . }}
{{- end }}

{{- define "watchpolicy.check.crds" -}}
{{- if not (or .Values.crds.enabled .Values.crds.keep) }}
{{- fail "\n\ncrds.enabled and crds.keep are false: an upgrade of a release that has installed the CustomResourceDefinition would delete it, and with it every policy. Leave crds.keep=true." }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.targets" -}}
{{- $targets := .Values.rbac.targets }}
{{- if not (kindIs "invalid" $targets.defaults) }}
{{- $presets := ternary "[workloads, services, namespaces], which is the default. Set" "[]. Set that, and" (eq (toString $targets.defaults) "true") }}
{{- fail (printf "\n\nrbac.targets.defaults=%v has become rbac.targets.presets=%s rbac.targets.defaults=null." $targets.defaults $presets) }}
{{- end }}
{{- if and .Values.rbac.create $targets.namespaces }}
{{- $inNone := list }}
{{- range include "watchpolicy.presets" . | fromYaml }}
{{- range .clusterScoped }}
{{- $group := first .apiGroups }}
{{- range .resources }}
{{- $inNone = append $inNone (printf "%s/%s" $group .) }}
{{- end }}
{{- end }}
{{- end }}
{{- /* A binding in a namespace allows to get and patch that Namespace itself. */}}
{{- range $value, $rules := dict "read" $targets.read "write" $targets.write }}
{{- range $rule := $rules }}
{{- range $group := $rule.apiGroups }}
{{- range $resource := $rule.resources }}
{{- $isOwn := and (eq $value "write") (eq $resource "namespaces") }}
{{- if and (has (printf "%s/%s" $group $resource) $inNone) (not $isOwn) }}
{{- fail (printf "\n\nrbac.targets.%s has %s, which are in no namespace, and rbac.targets.namespaces allows everything in these alone. Leave them out, and bind a ClusterRole for them to the operator's ServiceAccount by a ClusterRoleBinding of your own." $value $resource) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.election" -}}
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
{{- end }}

{{/* How many of the pods a number or a percentage is, rounded up as Kubernetes does: (list value pods). */}}
{{- define "watchpolicy.pods" -}}
{{- $value := index . 0 | toString }}
{{- if hasSuffix "%" $value }}
{{- div (add (mul (trimSuffix "%" $value | atoi) (index . 1)) 99) 100 }}
{{- else }}
{{- int $value }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.disruption" -}}
{{- $pdb := .Values.podDisruptionBudget }}
{{- $replicas := int .Values.replicaCount }}
{{- $hasMin := not (kindIs "invalid" $pdb.minAvailable) }}
{{- $hasMax := not (kindIs "invalid" $pdb.maxUnavailable) }}
{{- if and $hasMin $hasMax }}
{{- fail "\n\npodDisruptionBudget has both minAvailable and maxUnavailable: Kubernetes takes one of them. Set the other to null." }}
{{- end }}
{{- if and $pdb.enabled (gt $replicas 1) }}
{{- $allKept := and $hasMin (ge (include "watchpolicy.pods" (list $pdb.minAvailable $replicas) | int) $replicas) }}
{{- $noneGoes := and $hasMax (eq (include "watchpolicy.pods" (list $pdb.maxUnavailable $replicas) | int) 0) }}
{{- if or $allKept $noneGoes }}
{{- fail (printf "\n\npodDisruptionBudget lets none of the %d pods go: no node that runs one could be drained. Lower minAvailable (percentages are rounded up), or give maxUnavailable=1." $replicas) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the chart sets by a value or from the pod: the operator takes it once, and a second one does nothing or harm. */}}
{{- define "watchpolicy.check.flags" -}}
{{- $set := dict "allow-enforce" "enforcement.enabled" "write-qps" "enforcement.writeQps" "allow-fix-of" "enforcement.allowFixOf" "events" "events.enabled" "events-on-resources" "events.onResources" "reports" "reports.results" "report-qps" "reports.qps" "log-level" "log.level" "log-format" "log.format" "leader-elect" "leaderElection.enabled" "lease-name" "fullnameOverride" "lease-duration" "leaderElection.leaseDuration" "renew-deadline" "leaderElection.renewDeadline" "retry-period" "leaderElection.retryPeriod" "serve-violations" "violations.enabled" "metrics-auth" "metrics.auth" "tls-cert-file" "tls.secretName" "tls-key-file" "tls.secretName" }}
{{- $ofPod := list "namespace" "identity" }}
{{- $given := list }}
{{- range .Values.extraArgs }}
{{- $parts := splitn "=" 2 . }}
{{- if hasPrefix "--" $parts._0 }}
{{- $given = append $given (dict "where" "extraArgs" "is" $parts._0 "flag" (trimPrefix "--" $parts._0) "value" (default "" $parts._1)) }}
{{- end }}
{{- end }}
{{- $names := dict }}
{{- range .Values.extraEnv }}
{{- if has .name (list "POD_NAMESPACE" "POD_NAME") }}
{{- fail (printf "\n\nextraEnv has %s, which the chart sets from the pod. Leave it out." .name) }}
{{- end }}
{{- if hasKey $names .name }}
{{- fail (printf "\n\nextraEnv has %s twice. Leave one out." .name) }}
{{- end }}
{{- $_ := set $names .name true }}
{{- if hasPrefix "WATCHPOLICY_" .name }}
{{- $given = append $given (dict "where" "extraEnv" "is" .name "flag" (trimPrefix "WATCHPOLICY_" .name | lower | replace "_" "-") "value" (default "" .value)) }}
{{- end }}
{{- end }}
{{- range $given }}
{{- if hasKey $set .flag }}
{{- fail (printf "\n\n%s has %s, which the chart sets already, and the operator takes it once. Use the value %s." .where .is (get $set .flag)) }}
{{- end }}
{{- if has .flag $ofPod }}
{{- fail (printf "\n\n%s has %s, which each pod has of its own: the operator works from the release's namespace, under its pod's name. Leave it out." .where .is) }}
{{- end }}
{{- if and (eq .flag "listen") (not (hasSuffix ":8080" .value)) }}
{{- fail (printf "\n\n%s has %s without port 8080, where the probes and the Service look. Write --listen=ADDRESS:8080, as one argument." .where .is) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.monitoring" -}}
{{- $monitoring := .Values.monitoring }}
{{- if and $monitoring.serviceMonitor.enabled (not .Values.metrics.service.enabled) }}
{{- fail "\n\nmonitoring.serviceMonitor.enabled needs the Service, and metrics.service.enabled is false. Set it to true, or use monitoring.podMonitor.enabled." }}
{{- end }}
{{- if and $monitoring.serviceMonitor.enabled $monitoring.podMonitor.enabled }}
{{- fail "\n\nmonitoring has both serviceMonitor and podMonitor: every series would be there twice. Choose one." }}
{{- end }}
{{- if and .Values.metrics.auth (not (get (default dict $monitoring.authorization) "credentials")) }}
{{- $way := "Give monitoring.authorization.credentials the name and key of a Secret in this namespace that has a token." }}
{{- if $monitoring.podMonitor.enabled }}
{{- fail (printf "\n\nmetrics.auth is true, and a PodMonitor cannot show the token of Prometheus' own ServiceAccount. %s A ServiceMonitor needs none (monitoring.serviceMonitor.enabled)." $way) }}
{{- end }}
{{- if and $monitoring.serviceMonitor.enabled $monitoring.authorization }}
{{- fail (printf "\n\nmonitoring.authorization has no credentials: every scrape would be refused. %s Or leave monitoring.authorization out: Prometheus shows its own token then." $way) }}
{{- end }}
{{- end }}
{{- if and $monitoring.podMonitor.enabled .Values.tls.secretName }}
{{- range list "caFile" "certFile" "keyFile" }}
{{- if hasKey (default dict $monitoring.tlsConfig) . }}
{{- fail (printf "\n\nmonitoring.tlsConfig has %s, and a PodMonitor reads no files. Name a Secret or ConfigMap by ca, cert or keySecret, or use monitoring.serviceMonitor.enabled." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.events" -}}
{{- if and .Values.events.onResources (not .Values.events.enabled) }}
{{- fail "\n\nevents.onResources is true and events.enabled is false: no events are written then. Set events.enabled=true, or leave events.onResources out." }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.labels" -}}
{{- $own := include "watchpolicy.labels" . | fromYaml }}
{{- range $value, $labels := dict "podLabels" .Values.podLabels "metrics.service.labels" .Values.metrics.service.labels }}
{{- range $name, $_ := $labels }}
{{- if hasKey $own $name }}
{{- fail (printf "\n\n%s has %s, which the chart sets, and objects are found by. Choose another name." $value $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if hasKey .Values.podAnnotations "kubectl.kubernetes.io/default-container" }}
{{- fail "\n\npodAnnotations has kubectl.kubernetes.io/default-container, which the chart sets: there is one container. Leave it out." }}
{{- end }}
{{- end }}

{{/* What is in the cluster already. Without one (helm template) nothing is found. */}}
{{- define "watchpolicy.check.cluster" -}}
{{- if and .Values.leaderElection.enabled (gt (int .Values.replicaCount) 0) }}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "watchpolicy.fullname" .) | default dict }}
{{- $containers := dig "spec" "template" "spec" "containers" list $live }}
{{- range $containers }}
{{- if and (has "--leader-elect=false" (.args | default list)) (gt (dig "spec" "replicas" 0 $live | int) 0) }}
{{- fail "\n\nleaderElection.enabled is switched on while a pod runs that writes without asking: it would write beside the new leader. First upgrade with replicaCount=0, wait until its pod is gone, then upgrade with the replicas that you want." }}
{{- end }}
{{- end }}
{{- end }}
{{- /* These ask for objects of the whole cluster: only who may do all, as aggregation wants it, can be sure to read them. */}}
{{- if and .Values.rbac.create .Values.rbac.aggregate }}
{{- include "watchpolicy.check.only" . }}
{{- include "watchpolicy.check.kept" . }}
{{- include "watchpolicy.check.namespaces" . }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.only" -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- $release := get $labels "app.kubernetes.io/instance" }}
{{- if and (eq (get $labels "app.kubernetes.io/name") "watchpolicy") (eq (get $labels "app.kubernetes.io/managed-by") "Helm") (ne $release $.Release.Name) }}
{{- fail (printf "\n\nClusterRoleBinding %s is of another release of WatchPolicy, %s: two operators in one cluster overwrite each other's status. Upgrade that one, or uninstall it first." .metadata.name $release) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.kept" -}}
{{- if not .Values.crds.enabled }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "watchpolicies.watchpolicy.io" | default dict }}
{{- $annotations := dig "metadata" "annotations" dict $crd }}
{{- $ours := and (eq (get $annotations "meta.helm.sh/release-name") .Release.Name) (eq (get $annotations "meta.helm.sh/release-namespace") .Release.Namespace) }}
{{- if and $ours (ne (get $annotations "helm.sh/resource-policy") "keep") }}
{{- fail "\n\ncrds.enabled is switched off while the CustomResourceDefinition belongs to this release and is not marked to be kept: this upgrade would delete it, and with it every policy. First upgrade with crds.enabled=true and crds.keep=true." }}
{{- end }}
{{- end }}
{{- end }}

{{- define "watchpolicy.check.namespaces" -}}
{{- /* Every cluster has this one: where it is not found, nothing is asked. */}}
{{- if lookup "v1" "Namespace" "" "default" }}
{{- range .Values.rbac.targets.namespaces }}
{{- if not (lookup "v1" "Namespace" "" .) }}
{{- fail (printf "\n\nrbac.targets.namespaces has %s, and there is no such namespace to bind the operator's rights in. Create it first, or leave it out." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
