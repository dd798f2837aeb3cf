# The four keys of a Catalyst PKI deployment in AWS KMS, and who may use them.
#
#   terraform apply -var 'service_role=catalyst-pki' -var 'root_role=catalyst-pki-root'
#
# `terraform output -raw settings` is the service's settings file. Key administrators are whoever the account's IAM policies let be.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "service_role" {
  description = "Name of the IAM role the service runs as"
  type        = string
}

variable "root_role" {
  description = "Name of the IAM role that signs for the root: assumed by an operator, or by the service for one operation"
  type        = string
}

variable "key_spec" {
  description = "ECC_NIST_P384 is the service's EC-P384, its default. ML_DSA_65 and ML_DSA_87 want a provider that knows them"
  type        = string
  default     = "ECC_NIST_P384"
}

variable "multi_region" {
  description = "Whether the keys may be replicated to other Regions (aws_kms_replica_key, and the policies there); a key cannot become one later"
  type        = bool
  default     = false
}

locals {
  everyday = toset(["services", "transport", "tokens"])
}

resource "aws_kms_key" "root" {
  description              = "Catalyst PKI root CA"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = var.key_spec
  multi_region             = var.multi_region
  deletion_window_in_days  = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_key" "everyday" {
  for_each                 = local.everyday
  description              = "Catalyst PKI ${each.key}"
  key_usage                = "SIGN_VERIFY"
  # Token keys are EC-P384 whatever the CAs are.
  customer_master_key_spec = each.key == "tokens" ? "ECC_NIST_P384" : var.key_spec
  multi_region             = var.multi_region
  deletion_window_in_days  = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "root" {
  name          = "alias/catalyst-pki-root"
  target_key_id = aws_kms_key.root.key_id
}

resource "aws_kms_alias" "everyday" {
  for_each      = local.everyday
  name          = "alias/catalyst-pki-${each.key}"
  target_key_id = aws_kms_key.everyday[each.key].key_id
}

locals {
  # What the service signs with a key of this kind. Token keys are ECC_NIST_P384.
  signing_algorithm = {
    ECC_NIST_P384 = "ECDSA_SHA_384"
    ECC_NIST_P256 = "ECDSA_SHA_256"
    RSA_3072      = "RSASSA_PKCS1_V1_5_SHA_256"
    RSA_4096      = "RSASSA_PKCS1_V1_5_SHA_256"
    ML_DSA_65     = "ML_DSA_SHAKE_256"
    ML_DSA_87     = "ML_DSA_SHAKE_256"
  }
}

data "aws_iam_policy_document" "sign" {
  for_each = {
    root     = [aws_kms_key.root.arn]
    everyday = [for key in aws_kms_key.everyday : key.arn]
  }

  statement {
    sid       = "Sign"
    actions   = ["kms:Sign"]
    resources = each.value

    condition {
      test     = "StringEquals"
      variable = "kms:SigningAlgorithm"
      values   = distinct(["ECDSA_SHA_384", local.signing_algorithm[var.key_spec]])
    }
  }

  statement {
    sid       = "Look"
    actions   = ["kms:GetPublicKey", "kms:DescribeKey"]
    resources = each.value
  }
}

resource "aws_iam_role_policy" "service" {
  name   = "catalyst-pki-sign"
  role   = var.service_role
  policy = data.aws_iam_policy_document.sign["everyday"].json
}

data "aws_iam_role" "root" {
  name = var.root_role
}

# The service assumes the root's role for root operations; that role's trust policy decides when it may.
resource "aws_iam_role_policy" "assume_root" {
  name = "catalyst-pki-assume-root"
  role = var.service_role
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Resource = data.aws_iam_role.root.arn }]
  })
}

resource "aws_iam_role_policy" "root" {
  name   = "catalyst-pki-sign-root"
  role   = var.root_role
  policy = data.aws_iam_policy_document.sign["root"].json
}

output "settings" {
  description = "The service's settings file"
  value       = <<-EOT
    key_backend = "aws-kms"
    key_backend_root = "aws-kms:root"
    root_credentials = "${data.aws_iam_role.root.arn}"

    [aws-kms]
    key_arn = "${aws_kms_key.root.arn}"
    key_arn_services = "${aws_kms_key.everyday["services"].arn}"
    key_arn_transport = "${aws_kms_key.everyday["transport"].arn}"
    key_arn_tokens = "${aws_kms_key.everyday["tokens"].arn}"

    [aws-kms.root]
    region = "${split(":", aws_kms_key.root.arn)[3]}"
  EOT
}
