{{- define "portero.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "portero.selector" -}}
app.kubernetes.io/name: portero
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portero.labels" -}}
{{ include "portero.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What every pod has: another user than root, and nothing that it does not need. */}}
{{- define "portero.pod" -}}
automountServiceAccountToken: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Secrets are root's, and this group reads them.
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "portero.container" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
image: {{ .Values.image.repository }}{{ if not (contains "@" .Values.image.repository) }}:{{ $tag }}{{ end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
env:
  - { name: PORTERO_CONFIG, value: /etc/portero/gateway.toml }
  - { name: PORTERO_MASTER_KEY_FILE, value: /run/secrets/portero/master.key }
  {{- with .Values.secrets.storePassword }}
  {{- if .name }}
  - name: PORTERO_STORE_PASSWORD
    valueFrom: { secretKeyRef: { name: {{ .name }}, key: {{ .key }} } }
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: config, mountPath: /etc/portero, readOnly: true }
  - { name: secrets, mountPath: /run/secrets/portero, readOnly: true }
  - { name: data, mountPath: /data }
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The volumes of a pod whose config is in the ConfigMap `.map`. */}}
{{- define "portero.volumes" -}}
- name: config
  configMap: { name: {{ .map }} }
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- with .Values.secrets.masterKey }}
      - secret: { name: {{ .name }}, items: [{ key: {{ .key }}, path: master.key }] }
      {{- end }}
      {{- with .Values.secrets.adminToken }}
      - secret: { name: {{ .name }}, items: [{ key: {{ .key }}, path: admin.token }] }
      {{- end }}
- name: data
  emptyDir: { medium: Memory, sizeLimit: 16Mi }
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
