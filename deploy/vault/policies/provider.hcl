# One provider service: reads its own keys and their stages, nobody else's, and gets its own certificates.
path "${mount}/data/${prefix}/${provider}/*" {
  capabilities = ["read"]
}
path "${mount}/metadata/${prefix}/${provider}/*" {
  capabilities = ["read"]
}
# With it fingerprints are the same in every process; it opens nothing.
path "${mount}/data/${prefix}/fingerprint" {
  capabilities = ["read"]
}
path "${pki}/issue/antiphon-${provider}" {
  capabilities = ["update"]
}
