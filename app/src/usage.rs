//! A wrong command line, told in one line.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::progress::line;

/// Tells what is wrong with the command line; help that was asked for is printed whole.
pub fn told(error: &clap::Error) -> ExitCode {
    let asked_for = !error.use_stderr();
    if asked_for || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A closed pipe is nobody's concern.
        let _ = error.print();
    } else {
        line(&one_line(&error.render().to_string()));
    }
    if asked_for { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// clap's paragraphs up to the usage, joined.
fn one_line(text: &str) -> String {
    let mut joined = String::new();
    let facts = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    for fact in facts.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        if !joined.is_empty() {
            joined.push_str(if joined.ends_with(':') { " " } else { "; " });
        }
        joined.push_str(fact);
    }
    joined + " (see --help)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_one_line_without_the_usage() {
        let text = "error: the following required arguments were not provided:\n  <RUN>\n  <MODEL>\n\n  \
                    tip: add them\n\nUsage: tandem sample <RUN>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            one_line(text),
            "error: the following required arguments were not provided: <RUN>; <MODEL>; tip: add them (see --help)"
        );
    }
}
