{{- define "cxr-node.labels" -}}
app.kubernetes.io/name: cxr-node
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "cxr-node.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "cxr-node.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "cxr-node.environment" -}}
- name: CXR_NODE_CONFIG
  value: /etc/cxr-node/cxr-node.toml
{{- if .Values.database.passwordSecret }}
- name: CXR_NODE_DATABASE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.passwordSecret }}
      key: password
{{- end }}
{{- if .Values.archive.credentialsSecret }}
- name: CXR_NODE_ARCHIVE_BUCKET_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .Values.archive.credentialsSecret }}
      key: access-key-id
- name: CXR_NODE_ARCHIVE_BUCKET_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.archive.credentialsSecret }}
      key: secret-access-key
{{- end }}
{{- end }}

{{- define "cxr-node.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
