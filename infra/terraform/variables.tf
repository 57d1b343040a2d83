variable "archive" {
  description = "The directory of an unpacked release."
  type        = string
}

variable "bucket" {
  description = "An S3 bucket in the stack's Region for the functions' code and the template."
  type        = string
}

variable "layer" {
  description = "A zip file of the release's directory layer, which the AWS provider cannot zip."
  type        = string
}

variable "name" {
  description = "The stack's name."
  type        = string
  default     = "ferry"
}

variable "parameters" {
  description = "Parameters of the template. Release is derived from code and parameters."
  type        = map(string)
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation also gives to the stack's resources."
  type        = map(string)
  default     = {}
}
