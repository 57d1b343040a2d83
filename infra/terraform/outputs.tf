output "outputs" {
  description = "The outputs of the stack, such as ApiUrl, by their names in the template."
  value       = aws_cloudformation_stack.ferry.outputs
}
