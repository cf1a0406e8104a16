//! Builds a shader from its text: a few lines of template language, because WGSL has no preprocessor.
//!
//! - `{{ name }}` is a template value (or the counter of a `#for`)
//! - `#for i in name` … `#end` repeats its lines for i = 0 .. value of `name`
//! - `#if name_3` … `#else` … `#end` keeps its lines where `name` is 3; a name not given is 0
//! - `@binding(_)` takes the next number

/// Template values by name.
pub type Values = Vec<(&'static str, u32)>;

/// `text` with everything filled in.
///
/// # Panics
/// When a name has no value: a mistake in the shader or its launch, found by the test that builds
/// every variant.
pub fn expand(text: &str, values: &[(&'static str, u32)]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut names: Vec<(&str, u32)> = values.to_vec();
    names.push(("four", 4));
    let mut out = String::with_capacity(text.len());
    let end = block(&lines, 0, &mut names, Some(&mut out));
    assert!(end >= lines.len(), "a stray #end in a shader");
    number_bindings(&out)
}

fn value(names: &[(&str, u32)], name: &str) -> Option<u32> {
    names.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| *v)
}

/// Walks lines from `at` to the `#end` or `#else` that closes this block, whose index it returns.
/// Writes only when there is somewhere to write.
fn block<'a>(
    lines: &[&'a str],
    mut at: usize,
    names: &mut Vec<(&'a str, u32)>,
    mut out: Option<&mut String>,
) -> usize {
    while at < lines.len() {
        let line = lines[at].trim();
        if let Some(rest) = line.strip_prefix("#for ") {
            let (counter, name) = rest.split_once(" in ").unwrap_or((rest, ""));
            let count = value(names, name).unwrap_or_else(|| panic!("no template value {name}"));
            let mut end = skip(lines, at + 1);
            if let Some(out) = out.as_deref_mut() {
                for i in 0..count {
                    names.push((counter, i));
                    end = block(lines, at + 1, names, Some(&mut *out));
                    names.pop();
                }
            }
            at = end + 1;
        } else if let Some(condition) = line.strip_prefix("#if ") {
            let (name, wanted) = condition.rsplit_once('_').unwrap_or((condition, "1"));
            let holds = value(names, name).unwrap_or(0).to_string() == wanted;
            let mut end = branch(lines, at + 1, names, out.as_deref_mut().filter(|_| holds));
            if lines.get(end).is_some_and(|l| l.trim() == "#else") {
                end = branch(lines, end + 1, names, out.as_deref_mut().filter(|_| !holds));
            }
            at = end + 1;
        } else if line == "#end" || line == "#else" {
            return at;
        } else {
            if let Some(out) = out.as_deref_mut() {
                fill(lines[at], names, out);
            }
            at += 1;
        }
    }
    at
}

fn branch<'a>(
    lines: &[&'a str],
    at: usize,
    names: &mut Vec<(&'a str, u32)>,
    out: Option<&mut String>,
) -> usize {
    match out {
        Some(out) => block(lines, at, names, Some(out)),
        None => skip(lines, at),
    }
}

/// The end of a block that is not written.
fn skip(lines: &[&str], at: usize) -> usize {
    let mut depth = 0;
    for (i, line) in lines.iter().enumerate().skip(at) {
        let line = line.trim();
        if line.starts_with("#for ") || line.starts_with("#if ") {
            depth += 1;
        } else if line == "#end" && depth > 0 {
            depth -= 1;
        } else if (line == "#end" || line == "#else") && depth == 0 {
            return i;
        }
    }
    lines.len()
}

/// One line, its placeholders filled in.
fn fill(line: &str, names: &[(&str, u32)], out: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{ ") {
        out.push_str(before);
        let (name, after) = after.split_once(" }}").unwrap_or((after, ""));
        let value = value(names, name).unwrap_or_else(|| panic!("no template value {name}"));
        out.push_str(&value.to_string());
        rest = after;
    }
    out.push_str(rest);
    out.push('\n');
}

fn number_bindings(text: &str) -> String {
    let mut pieces = text.split("@binding(_)");
    let mut out = pieces.next().unwrap_or_default().to_string();
    for (i, piece) in pieces.enumerate() {
        out.push_str(&format!("@binding({i})"));
        out.push_str(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_conditions_and_bindings_are_filled_in() {
        let text = "\
#for i in n
#for j in two
a{{ i }}{{ j }} @binding(_)
#end
#end
#if kind_2
second
#else
other
#if n_2
inner
#end
#end
wg {{ wg }}";
        let values = [("n", 2), ("two", 2), ("kind", 1), ("wg", 64)];
        let expected =
            "a00 @binding(0)\na01 @binding(1)\na10 @binding(2)\na11 @binding(3)\nother\ninner\nwg 64\n";
        assert_eq!(expand(text, &values), expected);
        let second = [("n", 0), ("two", 2), ("kind", 2), ("wg", 64)];
        assert_eq!(expand(text, &second), "second\nwg 64\n");
    }
}
