use clap::Args;

/// Each command sets the default.
#[derive(Debug, Args)]
pub(crate) struct Rate {
    /// The most requests (requeue), redrives (redrive) or operations (erase) a second.
    #[arg(
        long,
        value_name = "N",
        required = false,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) per_second: u16,
}
