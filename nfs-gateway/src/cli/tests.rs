use clap::CommandFactory;
use clap::error::ErrorKind;

use super::arguments::{AgeOrNever, LifecycleCommand};
use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command)
}

fn problem(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn a_policy_is_parsed_where_it_is_typed() {
    let Ok(Command::Lifecycle(LifecycleCommand::Set(set))) =
        parse("tidefs lifecycle set --to-ia 20s --to-primary on-first-access")
    else {
        panic!("not a set")
    };
    assert_eq!(set.to_ia, Some(AgeOrNever(Some("20s".parse().unwrap()))));
    let Ok(Command::Lifecycle(LifecycleCommand::Set(set))) = parse("tidefs lifecycle set --to-ia never")
    else {
        panic!("not a set")
    };
    assert_eq!((set.to_ia, set.to_primary), (Some(AgeOrNever(None)), None));
}

#[test]
fn wrong_values_say_what_is_allowed() {
    for (line, allowed) in [
        ("tidefs lifecycle set --to-ia soon", "20s, 15m, 12h or 45d"),
        ("tidefs lifecycle set --to-ia AFTER_2_DAYS", "AFTER_7_DAYS"),
        ("tidefs lifecycle set --to-primary maybe", "on-first-access"),
        ("tidefs serve --listen 2049", "127.0.0.1:2049"),
        ("tidefs serve --bucket pile", "s3://NAME/PREFIX"),
        ("tidefs serve --endpoint 127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("tidefs serve --bucket s3://a --cold-dir /x", "cannot be used with"),
        ("tidefs status --file-system fs-1", "fs-0123456789abcdef0"),
        ("tidefs lifecycle run --bytes-per-second fast", "64MiB"),
    ] {
        let problem = problem(line);
        assert!(problem.contains(allowed), "{line}: {problem}");
    }
    assert_eq!(parse("tidefs lifecycle set").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
    assert_eq!(parse("tidefs lifecycle explain").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
}
