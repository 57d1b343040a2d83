//! The minimum that could do the job, with which the functions are compared.
//!
//! `hello` is the Lambda runtime with a handler that does nothing. `calls` only makes the AWS calls
//! of a function's undisturbed path, with the same clients: it does not check, hash, sign, log or
//! count.
