//! The least that could do the job: what the functions are measured against.
//!
//! `hello` is the Lambda runtime and an answer. `calls` makes the calls to AWS that a function of Ferry's makes on its undisturbed
//! path, with the same clients, and nothing else: it checks, hashes, signs, logs and counts nothing.
