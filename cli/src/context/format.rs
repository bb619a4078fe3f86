//! Formats of output.

/// Formats that commands offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Yaml,
    Short,
    Log,
    Name,
    Sarif,
    Github,
    Junit,
    Ascii,
    Dot,
    Mermaid,
    Svg,
}

// === impl Format ===

impl Format {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Short => "short",
            Self::Log => "log",
            Self::Name => "name",
            Self::Sarif => "sarif",
            Self::Github => "github",
            Self::Junit => "junit",
            Self::Ascii => "ascii",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
            Self::Svg => "svg",
        }
    }
}
