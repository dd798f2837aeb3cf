# The keys of a Catalyst PKI deployment in Google Cloud KMS, and who may use them.
#
#   terraform apply -var project=my-project -var location=europe-west3
#
# `terraform output -raw settings` is the service's settings file. Key rings and the names of keys stay for good.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0"
    }
  }
}

variable "project" {
  description = "Id of the project"
  type        = string
}

variable "location" {
  description = "Where the keys are: a region with HSMs, near the service"
  type        = string
}

variable "makes_keys" {
  description = "Whether the service makes its keys itself; otherwise they are made here, and it only signs"
  type        = bool
  default     = false
}

variable "algorithm" {
  description = "EC_SIGN_P384_SHA384 is EC-P384, the default. ML-DSA-65 is PQ_SIGN_ML_DSA_65_EXTERNAL_MU, in software"
  type        = string
  default     = "EC_SIGN_P384_SHA384"
}

variable "protection_level" {
  description = "HSM, or SOFTWARE; the service wants protection = \"software\" for the latter"
  type        = string
  default     = "HSM"
}

locals {
  everyday = toset(["services", "transport", "tokens"])
  # Made here, unless the service makes its own.
  made = var.makes_keys ? toset([]) : local.everyday
}

resource "google_project_service" "needed" {
  for_each           = toset(["cloudkms.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com"])
  project            = var.project
  service            = each.key
  disable_on_destroy = false
}

# The root has a key ring of its own: who may sign in a key ring may sign with every key in it.
resource "google_kms_key_ring" "root" {
  name       = "catalyst-pki-root"
  project    = var.project
  location   = var.location
  depends_on = [google_project_service.needed]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_key_ring" "everyday" {
  name       = "catalyst-pki"
  project    = var.project
  location   = var.location
  depends_on = [google_project_service.needed]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "root" {
  count                      = var.makes_keys ? 0 : 1
  name                       = "root"
  key_ring                   = google_kms_key_ring.root.id
  purpose                    = "ASYMMETRIC_SIGN"
  destroy_scheduled_duration = "2592000s"

  version_template {
    algorithm        = var.algorithm
    protection_level = var.protection_level
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "everyday" {
  for_each                   = local.made
  name                       = each.key
  key_ring                   = google_kms_key_ring.everyday.id
  purpose                    = "ASYMMETRIC_SIGN"
  destroy_scheduled_duration = "2592000s"

  version_template {
    # Token keys are EC-P384 whatever the CAs are.
    algorithm        = each.key == "tokens" ? "EC_SIGN_P384_SHA384" : var.algorithm
    protection_level = var.protection_level
  }

  lifecycle {
    prevent_destroy = true
  }
}

# What the service runs as, and what signs for the root: impersonated for one operation.
resource "google_service_account" "service" {
  project      = var.project
  account_id   = "catalyst-pki"
  display_name = "Catalyst PKI"
}

resource "google_service_account" "root" {
  project      = var.project
  account_id   = "catalyst-pki-root"
  display_name = "Catalyst PKI root"
}

resource "google_project_iam_custom_role" "state" {
  project     = var.project
  role_id     = "catalystPkiState"
  title       = "Catalyst PKI state"
  description = "See how the versions of a key are"
  permissions = [
    "cloudkms.cryptoKeyVersions.get",
    "cloudkms.cryptoKeyVersions.list",
  ]
}

resource "google_project_iam_custom_role" "provisioner" {
  project     = var.project
  role_id     = "catalystPkiProvisioner"
  title       = "Catalyst PKI provisioner"
  description = "Make keys in a key ring, find them again, and see how they are"
  permissions = [
    "cloudkms.cryptoKeys.create",
    "cloudkms.cryptoKeys.get",
    "cloudkms.cryptoKeys.list",
    "cloudkms.cryptoKeyVersions.create",
    "cloudkms.cryptoKeyVersions.get",
    "cloudkms.cryptoKeyVersions.list",
    "cloudkms.cryptoKeyVersions.viewPublicKey",
  ]
}

resource "google_project_iam_custom_role" "impersonate" {
  project     = var.project
  role_id     = "catalystPkiImpersonation"
  title       = "Catalyst PKI impersonation"
  description = "Get access tokens of a service account"
  permissions = [
    "iam.serviceAccounts.getAccessToken",
  ]
}

locals {
  signer      = ["roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer", google_project_iam_custom_role.state.id]
  provisioner = ["roles/cloudkms.signer", google_project_iam_custom_role.provisioner.id]

  # Which roles, on which key, for keys that are made here. Indices are known before anything is made.
  signers = {
    for pair in setproduct(local.made, range(length(local.signer))) : "${pair[0]}-${pair[1]}" => {
      key  = pair[0]
      role = local.signer[pair[1]]
    }
  }
}

resource "google_kms_crypto_key_iam_member" "service" {
  for_each      = local.signers
  crypto_key_id = google_kms_crypto_key.everyday[each.value.key].id
  role          = each.value.role
  member        = google_service_account.service.member
}

resource "google_kms_crypto_key_iam_member" "root" {
  count         = var.makes_keys ? 0 : length(local.signer)
  crypto_key_id = google_kms_crypto_key.root[0].id
  role          = local.signer[count.index]
  member        = google_service_account.root.member
}

# Where the service makes its keys, both make them in a key ring of their own.
resource "google_kms_key_ring_iam_member" "service" {
  count       = var.makes_keys ? length(local.provisioner) : 0
  key_ring_id = google_kms_key_ring.everyday.id
  role        = local.provisioner[count.index]
  member      = google_service_account.service.member
}

resource "google_kms_key_ring_iam_member" "root" {
  count       = var.makes_keys ? length(local.provisioner) : 0
  key_ring_id = google_kms_key_ring.root.id
  role        = local.provisioner[count.index]
  member      = google_service_account.root.member
}

# The service impersonates the root's account for root operations; a condition here decides when it may.
resource "google_service_account_iam_member" "impersonate_root" {
  service_account_id = google_service_account.root.name
  role               = google_project_iam_custom_role.impersonate.id
  member             = google_service_account.service.member
}

locals {
  rings = { for role in local.everyday : role => google_kms_key_ring.everyday.id }
  keys  = { for role, key in google_kms_crypto_key.everyday : role => key.id }
  # A key that is made here, or the key ring in which the service makes one.
  named      = merge(local.rings, local.keys)
  named_root = var.makes_keys ? google_kms_key_ring.root.id : google_kms_crypto_key.root[0].id
}

output "settings" {
  description = "The service's settings file"
  value       = <<-EOT
    key_backend = "gcp-kms"
    key_backend_root = "gcp-kms:root"
    root_credentials = "${google_service_account.root.email}"

    [gcp-kms]
    protection = "${lower(var.protection_level)}"
    key_name = "${local.named_root}"
    key_name_services = "${local.named["services"]}"
    key_name_transport = "${local.named["transport"]}"
    key_name_tokens = "${local.named["tokens"]}"

    [gcp-kms.root]
    protection = "${lower(var.protection_level)}"
  EOT
}
