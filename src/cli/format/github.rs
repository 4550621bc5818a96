//! Workflow commands of GitHub Actions: each finding is an annotation at its line.

use crate::cli::finding::{Finding, Level};

/// The findings, a line each.
pub(in crate::cli) fn github(findings: &[Finding]) -> String {
    findings.iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    let Finding { rule, level, file, line, about, message } = finding;
    let command = match level {
        Level::Note => "notice",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let place = file.as_deref().map_or(String::new(), |file| format!("file={},", property(file)));
    let line = line.map_or(String::new(), |line| format!("line={line},"));
    let about = about.as_deref().map_or(String::new(), |about| format!("{about}: "));
    format!("::{command} {place}{line}title={}::{}\n", property(rule), data(&format!("{about}{message}")))
}

/// What ends a line would end the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What ends a property would end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(file: Option<&str>, message: &str) -> Finding {
        Finding {
            rule: "policy/rule".into(),
            level: Level::Warning,
            file: file.map(str::to_owned),
            line: Some(3),
            about: Some("Pod default/web $".into()),
            message: message.into(),
        }
    }

    #[test]
    fn nothing_in_a_finding_can_end_its_command() {
        assert_eq!(
            github(&[finding(Some("a,b:c.yaml"), "50%\nof ::error::it")]),
            "::warning file=a%2Cb%3Ac.yaml,line=3,title=policy/rule::Pod default/web $: 50%25%0Aof ::error::it\n"
        );
    }

    #[test]
    fn standard_input_is_no_file() {
        assert!(
            github(&[finding(crate::cli::finding::named("-").as_deref(), "x")])
                .starts_with("::warning line=3,title=")
        );
    }
}
