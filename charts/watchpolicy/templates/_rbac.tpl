{{/* Binds the ClusterRole of a name to the operator: (list $ name). */}}
{{- define "watchpolicy.clusterRoleBinding" }}
{{- $ := index . 0 }}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ index . 1 | quote }}
  labels:
    {{- include "watchpolicy.labels" $ | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ index . 1 | quote }}
subjects:
- kind: ServiceAccount
  name: {{ include "watchpolicy.serviceAccountName" $ | quote }}
  namespace: {{ $.Release.Namespace | quote }}
{{- end }}
