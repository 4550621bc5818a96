//! `watchpolicy query`: what a path finds in the documents of a file, for trying paths out.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::jsonpath::{Budget, Node, Path, Roots, Scope, Tree};
use crate::resource::GroupResource;

use super::answer::Answer;
use super::counted::counted;
use super::format;
use super::input::documents::{self, Written};
use super::input::files;
use super::kinds::builtin;

/// Steps that a query may take in one document: a thousand times those of a rule, since a file may hold a whole list,
/// and somebody waits for it who can break off.
const STEPS: u32 = 100_000_000;

/// What can be written after `watchpolicy query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The path, from any root: $, $object, $pod, $podSpec, $containers, $appContainers, $namespace (of a Namespace); in single quotes for the shell
    pub path: String,
    /// A file of YAML or JSON documents; - or none for standard input
    pub file: Option<PathBuf>,
    /// How what is found is printed
    #[arg(long, value_enum, default_value_t = QueryFormat::Table)]
    pub format: QueryFormat,
}

/// How what is found is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QueryFormat {
    /// One line for each node: its path and its value
    Table,
    /// {"nodes": [{"path", "value"}]}
    Json,
    /// The same as YAML
    Yaml,
}

/// All that was found, in the order of the documents.
#[derive(Debug, Serialize)]
struct Found {
    nodes: Vec<FoundNode>,
}

/// One node that was found.
#[derive(Debug, Serialize)]
struct FoundNode {
    /// Its normalized path (RFC 9535).
    path: String,
    value: Tree,
    /// Counted from 1, where there are several documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
}

/// What is to be printed. Nothing found is no error, and said on stderr.
///
/// # Errors
/// A path that is refused, a file that cannot be read, or a document in which the path cannot be evaluated.
pub fn run(args: &QueryArgs) -> anyhow::Result<Answer> {
    let QueryArgs { path, file, format } = args;
    let path = Path::parse(path).with_context(|| format!("the path `{path}` is refused"))?;
    let source = file.as_deref().unwrap_or(File::new("-"));
    let shown = files::name(source);
    let text = files::text(source).with_context(|| format!("cannot read {shown}"))?;
    let documents = nodes(&shown, &text)?;
    let found = find(&path, &documents)?;
    let nothing =
        || format!("`{path}` finds nothing in {}", counted(documents.len(), "document", "documents"));
    let notes = found.nodes.is_empty().then(nothing).into_iter().collect();
    Ok(Answer { notes, ..Answer::fine(print(&found, *format)?) })
}

fn nodes(file: &Arc<str>, text: &str) -> anyhow::Result<Vec<Tree>> {
    let documents = documents::of_text(file, text).map_err(|trouble| anyhow!("{trouble}"))?;
    if documents.is_empty() {
        bail!("{file}: there is no document in it");
    }
    let node =
        |written: Written| written.json.parse().with_context(|| format!("{} cannot be read", written.origin));
    documents.into_iter().map(node).collect()
}

fn find(path: &Path, documents: &[Tree]) -> anyhow::Result<Found> {
    let mut nodes = Vec::new();
    for (document, node) in (1..).zip(documents) {
        let roots = roots(node.node());
        let scope = Scope::new(node, &roots);
        let several = (documents.len() > 1).then_some(document);
        path.each(&scope, &mut Budget::new(STEPS), &mut |found, trail| {
            nodes.push(FoundNode {
                path: trail.normalized().to_string(),
                value: found.into(),
                document: several,
            });
            ControlFlow::Continue(())
        })
        .with_context(|| format!("cannot evaluate `{path}` in document {document}"))?;
    }
    Ok(Found { nodes })
}

/// Where the pod is, for built-in kinds.
fn roots(document: Node<'_>) -> Roots {
    let text = |name| document.get(name).and_then(Node::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let known = builtin::resource(group, text("kind"));
    known.map_or_else(Roots::default, |(plural, _)| Roots::of_builtin(&GroupResource::new(group, plural)))
}

fn print(found: &Found, format: QueryFormat) -> anyhow::Result<String> {
    match format {
        QueryFormat::Json => format::json(found),
        QueryFormat::Yaml => format::yaml(found),
        QueryFormat::Table => table(found),
    }
}

fn table(found: &Found) -> anyhow::Result<String> {
    let width = found.nodes.iter().map(|node| node.path.chars().count()).max().unwrap_or_default();
    let width = width.min(format::WIDEST);
    let mut text = String::new();
    for FoundNode { path, value, document } in &found.nodes {
        if let Some(document) = document {
            write!(text, "{document}  ")?;
        }
        writeln!(text, "{path:width$}  {value}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str, format: QueryFormat) -> String {
        let nodes = nodes(&"file".into(), text).unwrap();
        print(&find(&Path::parse(path).unwrap(), &nodes).unwrap(), format).unwrap()
    }

    #[test]
    fn values_come_with_their_normalized_paths() {
        let text = "a: [{b: 1}, {b: null}, 2]";
        assert_eq!(found("$.a[*].b", text, QueryFormat::Table), "$['a'][0]['b']  1\n$['a'][1]['b']  null\n");
        let json: serde_json::Value =
            serde_json::from_str(&found("$.a[0].b", text, QueryFormat::Json)).unwrap();
        assert_eq!(json, serde_json::json!({"nodes": [{"path": "$['a'][0]['b']", "value": 1}]}));
        let yaml: serde_json::Value =
            serde_saphyr::from_str(&found("$.a[0].b", text, QueryFormat::Yaml)).unwrap();
        assert_eq!(yaml, json);
    }

    #[test]
    fn nothing_found_is_an_empty_list() {
        assert_eq!(found("$.x", "{}", QueryFormat::Table), "");
        assert_eq!(found("$.x", "{}", QueryFormat::Json), "{\n  \"nodes\": []\n}\n");
    }

    #[test]
    fn every_document_of_a_file_is_asked() {
        for text in ["a: 1\n---\na: 2\n", r#"{"a":1} {"a":2}"#, "{\"a\":1}\n---\n{\"a\":2}\n"] {
            assert_eq!(found("$.a", text, QueryFormat::Table), "1  $['a']  1\n2  $['a']  2\n", "{text}");
        }
    }

    #[test]
    fn integers_keep_their_digits() {
        let text = r#"{"a":[9007199254740993,18446744073709551615,-9223372036854775808]}"#;
        let wanted =
            "$['a'][0]  9007199254740993\n$['a'][1]  18446744073709551615\n$['a'][2]  -9223372036854775808\n";
        assert_eq!(found("$.a[*]", text, QueryFormat::Table), wanted);
        let yaml = text.replace(r#"{"a":"#, "a: ").replace('}', "");
        assert_eq!(found("$.a[*]", &yaml, QueryFormat::Table), wanted, "as YAML");
    }

    #[test]
    fn a_number_of_any_length_is_read_as_the_nearest_double() {
        for (written, shown) in [
            ("31.245270191439438", "31.245270191439438"),
            ("121.48791951161945", "121.48791951161945"),
            ("0.1000000000000000055511151231257827021181583404541015625", "0.1"),
            ("9007199254740993.0", "9007199254740992.0"),
        ] {
            for text in [format!("{{\"a\": {written}}}"), format!("a: {written}\n")] {
                let wanted = format!("$['a']  {shown}\n");
                assert_eq!(found("$.a", &text, QueryFormat::Table), wanted, "{text}");
            }
        }
    }

    #[test]
    fn yaml_is_read_as_kubectl_reads_it() {
        let text = "a: yes\nb: 'yes'\nc: 0644\nd: ~\n";
        assert_eq!(
            found("$[*]", text, QueryFormat::Table),
            "$['a']  true\n$['b']  \"yes\"\n$['c']  420\n$['d']  null\n"
        );
    }

    #[test]
    fn named_roots_are_those_of_the_documents_kind() {
        for (kind, spec) in [
            ("v1\nkind: Pod", "spec: {containers: [{name: a}]}"),
            ("apps/v1\nkind: Deployment", "spec: {template: {spec: {containers: [{name: a}]}}}"),
            (
                "batch/v1\nkind: CronJob",
                "spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}",
            ),
        ] {
            let text = format!("apiVersion: {kind}\n{spec}\n");
            assert!(found("$containers[*].name", &text, QueryFormat::Table).ends_with("  \"a\"\n"), "{kind}");
        }
        let path = Path::parse("$pod.metadata").unwrap();
        let error = find(&path, &nodes(&"file".into(), "kind: Service").unwrap()).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("cannot evaluate `$pod.metadata` in document 1: "),
            "{error:#}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, words) in [("", "no document"), ("{\"a\":", "file:1: "), ("a: [", "file:1: ")] {
            let error = format!("{:#}", nodes(&"file".into(), text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
