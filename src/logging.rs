//! Logs on stderr: JSON lines for machines or text for people.
//!
//! Whatever the level, no line holds the body of a response: kube's client logs the whole body of an answer that it
//! cannot decode, a Secret's too, so the events of that module are dropped here and errors are logged by their callers.

use std::io::{self, IsTerminal};

use tracing::Metadata;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{LogConfig, LogFormat};

/// Targets of kube that put whole bodies into events.
const BODY_LOGGERS: [&str; 2] = ["kube_client::client", "kube::client"];

/// The levels, in the order of how much they show.
const LEVELS: &str = "off, error, warn, info, debug, trace";

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` or `--log-level` cannot be read.
    #[error(
        "{origin} is {directives:?}: {source}; give a level such as info, or directives such as info,kube=debug"
    )]
    Directives {
        /// Where the directives are from.
        origin: &'static str,
        /// The directives.
        directives: String,
        /// What is wrong with them.
        source: ParseError,
    },
    /// A word that would be taken for the name of a module, and turn off all that is not of it.
    #[error(
        "{origin} is {directives:?}: {word:?} is no level; give {LEVELS}, or directives such as info,kube=debug"
    )]
    Level {
        /// Where the directives are from.
        origin: &'static str,
        /// The directives.
        directives: String,
        /// The one that is no level.
        word: String,
    },
    /// Logging was started before.
    #[error("logging is already running: {0}")]
    Started(#[from] TryInitError),
}

/// Starts logging for the whole process.
///
/// # Errors
/// When directives cannot be read, or logging was started before.
pub fn start(config: &LogConfig) -> Result<(), LoggingError> {
    let filter = filter(std::env::var("RUST_LOG").ok(), &config.level)?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed(),
    };
    let layer = lines.with_filter(filter_fn(holds_no_body)).with_filter(filter);
    Ok(tracing_subscriber::registry().with(layer).try_init()?)
}

fn filter(rust_log: Option<String>, level: &str) -> Result<EnvFilter, LoggingError> {
    let rust_log = rust_log.filter(|directives| !directives.is_empty());
    let (origin, directives) = match rust_log {
        Some(directives) => ("RUST_LOG", directives),
        None => ("--log-level", level.to_owned()),
    };
    if let Some(word) = directives.split(',').find(|word| is_unknown_level(word)) {
        let word = word.to_owned();
        return Err(LoggingError::Level { origin, directives, word });
    }
    EnvFilter::builder().parse(&directives).map_err(|source| LoggingError::Directives {
        origin,
        directives,
        source,
    })
}

/// A bare word is a level here, and a module only with a level: `kube=debug`. The parser would take `inof` for a module
/// of which all is to be shown, and of everything else nothing.
fn is_unknown_level(directive: &str) -> bool {
    let is_bare = !directive.contains(['=', '[']);
    is_bare && !LEVELS.split(", ").any(|level| level.eq_ignore_ascii_case(directive))
}

/// Spans of those targets hold method, URL and status alone, and may stay.
fn holds_no_body(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let logs_bodies = BODY_LOGGERS.iter().any(|logger| target.starts_with(logger));
    !(logs_bodies && metadata.is_event())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// A writer that keeps what was written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bodies_that_the_client_logs_are_dropped_at_every_level() {
        let page = Page::default();
        let writer = page.clone();
        let lines = fmt::layer().with_writer(move || writer.clone()).with_filter(filter_fn(holds_no_body));
        let lines = lines.with_filter(filter(Some("trace".to_owned()), "info").unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(target: "kube_client::client", "{{\"kind\":\"Secret\"}}");
            tracing::error!(target: "kube_client::client::builder", "failed with error {{\"kind\":\"Secret\"}}");
            tracing::info!(target: "kube_client::config", "a line about configuration");
        });
        let page = String::from_utf8(page.0.lock().clone()).unwrap();
        assert!(page.contains("a line about configuration"));
        assert!(!page.contains("Secret"), "{page}");
    }

    #[test]
    fn the_environment_goes_before_the_flag_unless_it_is_empty() {
        let shown = |rust_log: Option<&str>| filter(rust_log.map(str::to_owned), "info").unwrap().to_string();
        assert_eq!(shown(Some("debug")), "debug");
        assert_eq!(shown(Some("")), "info");
        assert_eq!(shown(None), "info");
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_list_of_levels() {
        for (directives, word) in
            [("nonsense", "nonsense"), ("info,watchpolicy::observe", "watchpolicy::observe"), ("", "")]
        {
            let error = filter(None, directives).unwrap_err().to_string();
            assert!(error.contains(&format!("{word:?} is no level")), "{error}");
            assert!(error.contains("error, warn, info, debug, trace"), "{error}");
        }
        for directives in
            ["WARN", "off", "info,kube=debug", "info,watchpolicy::observe=trace", "warn,[step]=debug"]
        {
            assert!(filter(None, directives).is_ok(), "{directives}");
        }
    }

    #[test]
    fn directives_that_cannot_be_read_are_refused_with_their_origin() {
        let error = filter(None, "watchpolicy=loud").unwrap_err().to_string();
        assert!(error.starts_with("--log-level is \"watchpolicy=loud\""), "{error}");
        assert!(error.contains("such as info"), "{error}");
    }
}
