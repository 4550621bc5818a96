{{/* Binds a role to the operator, in a namespace or, where that is empty, everywhere: (list $ kind name namespace). */}}
{{- define "watchpolicy.binding" }}
{{- $ := index . 0 }}
{{- $kind := index . 1 }}
{{- $name := index . 2 }}
{{- $namespace := index . 3 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ $name | quote }}
  {{- with $namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include "watchpolicy.labels" $ | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name | quote }}
subjects:
- kind: ServiceAccount
  name: {{ include "watchpolicy.serviceAccountName" $ | quote }}
  namespace: {{ $.Release.Namespace | quote }}
{{- end }}

{{/* Binds a ClusterRole of what policies look at or change, wherever they may: (list $ name). */}}
{{- define "watchpolicy.targetsBinding" }}
{{- $ := index . 0 }}
{{- $name := index . 1 }}
{{- range $.Values.rbac.targets.namespaces | default (list "") }}
{{- include "watchpolicy.binding" (list $ "ClusterRole" $name .) }}
{{- end }}
{{- end }}

{{/* The kinds that each name of rbac.targets.presets stands for: those whose objects live in namespaces, and the others.
     Never Secrets. docs/rbac.md and values.schema.json have the names too. */}}
{{- define "watchpolicy.presets" -}}
workloads:
  namespaced:
  - {apiGroups: [""], resources: [pods, replicationcontrollers]}
  - {apiGroups: [apps], resources: [deployments, statefulsets, daemonsets, replicasets]}
  - {apiGroups: [batch], resources: [jobs, cronjobs]}
services:
  namespaced:
  - {apiGroups: [""], resources: [services]}
  - {apiGroups: [networking.k8s.io], resources: [ingresses]}
namespaces:
  clusterScoped:
  - {apiGroups: [""], resources: [namespaces]}
networking:
  namespaced:
  - {apiGroups: [networking.k8s.io], resources: [networkpolicies]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices]}
  clusterScoped:
  - {apiGroups: [networking.k8s.io], resources: [ingressclasses]}
storage:
  namespaced:
  - {apiGroups: [""], resources: [persistentvolumeclaims]}
  clusterScoped:
  - {apiGroups: [""], resources: [persistentvolumes]}
  - {apiGroups: [storage.k8s.io], resources: [storageclasses, csidrivers]}
scaling:
  namespaced:
  - {apiGroups: [autoscaling], resources: [horizontalpodautoscalers]}
  - {apiGroups: [policy], resources: [poddisruptionbudgets]}
  - {apiGroups: [""], resources: [resourcequotas, limitranges]}
  clusterScoped:
  - {apiGroups: [scheduling.k8s.io], resources: [priorityclasses]}
access:
  namespaced:
  - {apiGroups: [""], resources: [serviceaccounts]}
  - {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings]}
  clusterScoped:
  - {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles, clusterrolebindings]}
configmaps:
  namespaced:
  - {apiGroups: [""], resources: [configmaps]}
nodes:
  clusterScoped:
  - {apiGroups: [""], resources: [nodes]}
  - {apiGroups: [node.k8s.io], resources: [runtimeclasses]}
admission:
  clusterScoped:
  - apiGroups: [admissionregistration.k8s.io]
    resources:
    - validatingwebhookconfigurations
    - mutatingwebhookconfigurations
    - validatingadmissionpolicies
    - validatingadmissionpolicybindings
gateways:
  namespaced:
  - {apiGroups: [gateway.networking.k8s.io], resources: [gateways, httproutes, grpcroutes, referencegrants]}
  clusterScoped:
  - {apiGroups: [gateway.networking.k8s.io], resources: [gatewayclasses]}
certificates:
  namespaced:
  - {apiGroups: [cert-manager.io], resources: [certificates, certificaterequests, issuers]}
  clusterScoped:
  - {apiGroups: [cert-manager.io], resources: [clusterissuers]}
{{- end }}

{{/* Rules for what policies may look at: rbac.targets. No binding in a namespace allows what lives in none. */}}
{{- define "watchpolicy.readRules" -}}
{{- $presets := include "watchpolicy.presets" . | fromYaml }}
{{- $targets := .Values.rbac.targets }}
{{- $rules := list }}
{{- range $targets.presets }}
{{- $preset := get $presets . }}
{{- $rules = concat $rules ($preset.namespaced | default list) }}
{{- if not $targets.namespaces }}
{{- $rules = concat $rules ($preset.clusterScoped | default list) }}
{{- end }}
{{- end }}
{{- range concat $rules $targets.read }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  verbs: [list, watch]
{{- end }}
{{- end }}
