# A person or job that brings new keys: writes versions, and cannot read what is there.
path "${mount}/data/${prefix}/+/+" {
  capabilities = ["create", "update"]
}
path "${mount}/metadata/${prefix}/+/+" {
  capabilities = ["read"]
}
# Needed by `kv put` to find the mount's version.
path "sys/internal/ui/mounts/${mount}/*" {
  capabilities = ["read"]
}
