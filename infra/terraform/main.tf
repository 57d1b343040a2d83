# Deploys an unpacked release as one CloudFormation stack. The stack's resources are not repeated
# here, since the template and its tests are their only definition.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

data "aws_s3_bucket" "uploads" {
  bucket = var.bucket
}

locals {
  template = file("${var.archive}/template.yaml")
  # A line that names the code of a function or the layer.
  reference = "^(\\s*(CodeUri|ContentUri):\\s+)(\\S+)$"
  lines     = split("\n", local.template)
  named = [
    for line in local.lines : regex(local.reference, line) if can(regex(local.reference, line))
  ]
  files = {
    for parts in local.named : parts[2] => (
      parts[1] == "CodeUri"
      ? "${var.archive}/${parts[2]}"
      : var.layer
    )
  }
  uploads = {
    for name, path in local.files : name => "${var.name}/${filesha256(path)}/${basename(path)}"
  }
  packaged = join("\n", [
    for line in local.lines : can(regex(local.reference, line)) ? format(
      "%ss3://%s/%s",
      regex(local.reference, line)[0], var.bucket, local.uploads[regex(local.reference, line)[2]],
    ) : line
  ])
  # Only a new name publishes new code and settings, so the name is derived from both.
  release = substr(sha256(jsonencode([local.template, local.uploads, var.parameters])), 0, 10)
}

# Old uploads are deleted after the stack's update: a rollback of the stack needs them.
resource "aws_s3_object" "code" {
  for_each = local.uploads
  bucket   = var.bucket
  key      = each.value
  source   = local.files[each.key]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "template" {
  bucket  = var.bucket
  key     = "${var.name}/${sha256(local.packaged)}/template.yaml"
  content = local.packaged

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "ferry" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.uploads.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters   = merge({ Release = local.release }, var.parameters)
  tags         = var.tags
  depends_on   = [aws_s3_object.code]

  # The slowest DeploymentPreference takes 100 minutes, three times: for status and callback, for
  # worker, and for submit.
  timeouts {
    update = "6h"
  }
}
