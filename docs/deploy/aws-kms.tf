# The four keys of a Catalyst PKI deployment in AWS KMS, and who may use them.
#
#   terraform apply -var 'service_role=catalyst-pki' -var 'root_role=catalyst-pki-root'
#
# The outputs are the settings of the service. Key administrators are whoever the account's IAM policies let be.

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
  description = "ECC_NIST_P384 is the service's EC-P384, its default"
  type        = string
  default     = "ECC_NIST_P384"
}

variable "multi_region" {
  description = "Whether the keys may be replicated to other Regions; a key cannot become one later"
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

data "aws_iam_policy_document" "sign" {
  for_each = {
    root     = [aws_kms_key.root.arn]
    everyday = [for key in aws_kms_key.everyday : key.arn]
  }

  statement {
    sid       = "Sign"
    actions   = ["kms:Sign", "kms:GetPublicKey", "kms:DescribeKey"]
    resources = each.value
  }
}

resource "aws_iam_role_policy" "service" {
  name   = "catalyst-pki-sign"
  role   = var.service_role
  policy = data.aws_iam_policy_document.sign["everyday"].json
}

resource "aws_iam_role_policy" "root" {
  name   = "catalyst-pki-sign-root"
  role   = var.root_role
  policy = data.aws_iam_policy_document.sign["root"].json
}

output "settings" {
  description = "Variables of the service; the root's keys are read by `catalyst pki init` alone"
  value = {
    CATALYST_PKI_KEY_BACKEND           = "aws-kms"
    CATALYST_PKI_KMS_KEY_ARN           = aws_kms_key.root.arn
    CATALYST_PKI_KMS_KEY_ARN_SERVICES  = aws_kms_key.everyday["services"].arn
    CATALYST_PKI_KMS_KEY_ARN_TRANSPORT = aws_kms_key.everyday["transport"].arn
    CATALYST_PKI_KMS_KEY_ARN_TOKENS    = aws_kms_key.everyday["tokens"].arn
  }
}
