//! Which format.

use clap::ValueEnum;

/// How what a command found is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: a line for each thing that is wrong
    Table,
    /// One JSON object; docs/cli.md has its shape
    Json,
    /// The same as YAML
    Yaml,
    /// JUnit XML: a case for each thing that was looked at
    Junit,
    /// SARIF 2.1.0: a result for each thing that is wrong
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

impl Format {
    /// Whether it shows what is well, too.
    pub(in crate::cli) fn shows_all(self) -> bool {
        match self {
            Self::Json | Self::Yaml | Self::Junit => true,
            Self::Table | Self::Sarif | Self::Github => false,
        }
    }
}
