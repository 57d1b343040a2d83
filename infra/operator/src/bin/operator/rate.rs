use clap::Args;

/// Each command sets the default, and says of what.
#[derive(Debug, Args)]
pub(crate) struct Rate {
    #[arg(
        long,
        value_name = "N",
        required = false,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) per_second: u16,
}
