//! The commands of a console block, as far as the pages use the shell: pipes, quotes, comments, here documents.

use super::blocks::Block;

/// A command line, and what follows it on the page.
#[derive(Debug)]
pub(crate) struct Line {
    /// The commands of its pipe, each with its words; those within `$(…)` come before.
    pub(crate) commands: Vec<Vec<String>>,
    /// The here document.
    pub(crate) input: Option<String>,
    /// All of it, as a shell takes it.
    pub(crate) script: String,
    /// What the page shows of its output.
    pub(crate) told: String,
}

/// The command lines of a block: those that begin with `$ `.
pub(crate) fn lines(block: &Block) -> Vec<Line> {
    let mut lines = block.text.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            panic!("{block}: output of no command: {line}");
        };
        let mut command = command.to_owned();
        while let Some(before) = command.strip_suffix('\\') {
            command = format!("{before}{}", lines.next().unwrap().trim_start());
        }
        let input = command.contains("<<'EOF'").then(|| {
            let inside = lines.by_ref().take_while(|line| *line != "EOF");
            inside.map(|line| format!("{line}\n")).collect::<String>()
        });
        let script = format!(
            "{command}\n{}",
            input.as_deref().map(|input| format!("{input}EOF\n")).unwrap_or_default()
        );
        let mut told = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            told += &format!("{line}\n");
        }
        found.push(Line { commands: commands(&command), input, script, told });
    }
    found
}

/// The words of each command of a line. Assignments, redirections and here documents are left out.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut inner = Vec::new();
    let mut found = vec![Vec::new()];
    for word in words(line, &mut inner) {
        match &*word {
            "|" | "&&" | "&" | ";" => found.push(Vec::new()),
            word => found.last_mut().unwrap().push(word.to_owned()),
        }
    }
    let is_assignment = |word: &String| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'))
    };
    for command in &mut found {
        let assigned = command.iter().take_while(|word| is_assignment(word)).count();
        command.drain(..assigned);
        command.retain(|word| !word.starts_with(['<', '>']));
    }
    let inner = inner.iter().flat_map(|line| commands(line)).collect::<Vec<_>>();
    inner.into_iter().chain(found).filter(|command| !command.is_empty()).collect()
}

fn words(line: &str, inner: &mut Vec<String>) -> Vec<String> {
    let mut letters = line.chars().peekable();
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => found.extend(word.take()),
            '#' if word.is_none() => break,
            '\'' => {
                let quoted: String = letters.by_ref().take_while(|letter| *letter != '\'').collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '"' => {
                let quoted: String = letters.by_ref().take_while(|letter| *letter != '"').collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '$' if letters.peek() == Some(&'(') => {
                let nested: String = letters.by_ref().skip(1).take_while(|letter| *letter != ')').collect();
                inner.push(nested);
                word.get_or_insert_default().push_str("VALUE");
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    found
}

#[test]
fn a_line_falls_apart_as_in_a_shell() {
    let block = |text: &str| Block {
        page: "page".to_owned(),
        line: 1,
        language: "console".to_owned(),
        text: text.to_owned(),
    };
    let text = "$ A=$(git head) kubectl get 'a b' \\\n    -o \"c d\" | jq '.x | y' >out.json  # why\ntold\n\
                $ kubectl apply -f - <<'EOF'\na: 1\nEOF\n";
    let found = lines(&block(text));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found[0].commands,
        [words(&["git", "head"]), words(&["kubectl", "get", "a b", "-o", "c d"]), words(&["jq", ".x | y"]),]
    );
    assert_eq!((&*found[0].told, found[0].input.as_deref()), ("told\n", None));
    assert_eq!(found[1].commands, [words(&["kubectl", "apply", "-f", "-"])]);
    assert_eq!(found[1].input.as_deref(), Some("a: 1\n"));
    assert_eq!(found[1].script, "kubectl apply -f - <<'EOF'\na: 1\nEOF\n");
}
