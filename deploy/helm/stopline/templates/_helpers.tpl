{{- define "stopline.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "stopline.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "stopline.labels" -}}
{{ include "stopline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* Fails unless the Profile comes from exactly one place. */ -}}
{{- define "stopline.profileVolume" -}}
{{- $places := compact (list .Values.profile.configMap .Values.profile.persistentVolumeClaim .Values.profile.s3.url) -}}
{{- if ne (len $places) 1 -}}
{{- fail "Expected exactly one of profile.configMap, profile.persistentVolumeClaim and profile.s3.url" -}}
{{- end -}}
{{- if .Values.profile.configMap -}}
configMap:
  name: {{ .Values.profile.configMap }}
{{- else if .Values.profile.persistentVolumeClaim -}}
persistentVolumeClaim:
  claimName: {{ .Values.profile.persistentVolumeClaim }}
  readOnly: true
{{- else -}}
emptyDir: {}
{{- end -}}
{{- end -}}

{{- /* With an upstream the routes of the service itself are below a prefix. */ -}}
{{- define "stopline.prefix" -}}
{{- if hasKey .Values.settings "STOPLINE_UPSTREAM" }}/stopline{{ end -}}
{{- end -}}
