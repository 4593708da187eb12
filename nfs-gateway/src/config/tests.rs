use super::*;

const HOME: &str = "/nonexistent/home";

fn home() -> Surroundings {
    Surroundings::of(&[("HOME", HOME)])
}

fn problem(text: &str) -> String {
    parse_file(text, &home()).unwrap_err().to_string()
}

#[test]
fn the_example_as_it_is_and_with_every_setting_taken_in_is_the_defaults() {
    let defaults = Settings::resolve(Layer::default(), None, &home()).unwrap();
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = uncommented.lines().filter(|line| line.contains('=') && !line.starts_with('#')).count();
    assert_eq!(settings, 14);
    for text in [EXAMPLE, &uncommented] {
        let layer = parse_file(text, &home()).unwrap();
        assert_eq!(Settings::resolve(layer, None, &home()).unwrap(), defaults);
    }
}

#[test]
fn an_unknown_key_has_its_line_and_the_nearest_real_name() {
    let text = "data = \"/d\"\n\n[budgets]\njournals = \"1MiB\"\n";
    assert_eq!(
        problem(text),
        "line 4: there is no setting `budgets.journals`; did you mean `budgets.journal`?"
    );
    assert_eq!(problem("lisen = 1"), "line 1: there is no setting `lisen`; did you mean `listen`?");
    assert_eq!(
        problem("bucket = \"s3://x\""),
        "line 1: there is no setting `bucket`; did you mean `cold.bucket`?"
    );
    let strange = problem("\nzzzz = 1");
    assert!(
        strange.starts_with("line 2: there is no setting `zzzz`; the settings here are data, listen"),
        "{strange}"
    );
}

#[test]
fn a_bad_value_has_its_line_and_what_is_allowed() {
    for (text, line, allowed) in [
        ("\nlisten = \"2049\"", 2, "127.0.0.1:2049"),
        ("listen = 2049", 1, "text in quotes, not integer"),
        ("[budgets]\nsegment = \"128MB\"", 2, "64MiB"),
        ("[budgets]\n\nobject = 5", 3, "from 1MiB to 1TiB"),
        ("[cold]\nbucket = \"pile\"", 2, "s3://NAME/PREFIX"),
        ("[cold]\nendpoint = \"x\"", 2, "http://127.0.0.1:9000"),
        ("key_file = \"/k\"\npassphrase_file = \"/p\"", 2, "keep one"),
        ("[cold]\nbucket = \"s3://p\"\ndirectory = \"/d\"", 3, "keep one"),
        ("cold = \"s3://x\"", 1, "[cold]"),
        ("[[mount_target]]\nfile_system = \"fs-1\"", 2, "fs-0123456789abcdef0"),
        ("data = \"\"", 1, "empty"),
    ] {
        let problem = problem(text);
        assert!(
            problem.starts_with(&format!("line {line}: ")) && problem.contains(allowed),
            "{text}: {problem}"
        );
    }
    assert!(problem("\n\ndata = ").starts_with("line 3: "));
    assert!(
        problem("\n[[mount_target]]\nlisten = \"127.0.0.1:1\"")
            .contains("line 2: a [[mount_target]] needs `file_system`")
    );
}

#[test]
fn flags_go_over_the_environment_and_it_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidefs.toml");
    let text = "data = \"/from-file\"\nlisten = \"127.0.0.1:1\"\nlog = \"warn\"\n\
                [cold]\nbucket = \"s3://pile/x\"\nendpoint = \"http://h:1\"\n[budgets]\nobject = \"8MiB\"\n";
    std::fs::write(&file, text).unwrap();
    let surroundings = Surroundings::of(&[
        ("HOME", HOME),
        ("TIDEFS_CONFIG", file.to_str().unwrap()),
        ("TIDEFS_LISTEN", "127.0.0.1:2"),
        ("TIDEFS_DATA", "/from-environment"),
        ("TIDEFS_LOG", ""),
    ]);
    let flags = Layer { data: Some("/from-flag".into()), ..Layer::default() };
    let settings = Settings::load(flags, &surroundings).unwrap();
    assert_eq!(settings.data, Path::new("/from-flag"));
    assert_eq!(settings.listen.port(), 2);
    assert_eq!(settings.log, "warn");
    assert_eq!(settings.budgets.object_bytes, 8 << 20);
    assert_eq!(settings.budgets.journal_bytes, Budgets::default().journal_bytes);
    assert_eq!(settings.key, KeyChoice::KeyFile(directory.path().canonicalize().unwrap().join("tidefs.key")));
    assert!(matches!(settings.cold, ColdStoreConfig::Bucket { endpoint: Some(_), .. }));

    let local = Layer { cold: Some(ColdChoice::Directory("/cold".into())), ..Layer::default() };
    let settings = Settings::load(local, &surroundings).unwrap();
    assert_eq!(settings.cold, ColdStoreConfig::Directory("/cold".into()));
}

#[test]
fn bad_variables_and_contradictions_are_named() {
    let load = |variables: &[(&str, &str)]| {
        let surroundings = Surroundings::of(variables);
        Settings::load(Layer::default(), &surroundings).unwrap_err().to_string()
    };
    assert!(load(&[("HOME", HOME), ("TIDEFS_LISTEN", "x")]).starts_with("TIDEFS_LISTEN: `x`"));
    assert!(load(&[("HOME", HOME), ("TIDEFS_ENDPOINT", "http://x")]).contains("no bucket"));
    let both = [("HOME", HOME), ("TIDEFS_BUCKET", "s3://x"), ("TIDEFS_COLD_DIR", "/x")];
    assert!(load(&both).contains("set one of the two"));
    assert!(load(&[("HOME", HOME), ("TIDEFS_CONFIG", "/nonexistent.toml")]).contains("/nonexistent.toml"));
    assert!(load(&[]).contains("--data"));
}

#[test]
fn a_passphrase_takes_the_place_of_the_key_of_the_sources_below() {
    let surroundings = Surroundings::of(&[("HOME", HOME), ("TIDEFS_PASSPHRASE_FILE", "/secret")]);
    let environment = Layer::from_environment(&surroundings).unwrap();
    let file = parse_file("key_file = \"/k\"", &surroundings).unwrap();
    let flags = Layer { key: Some(KeyChoice::KeyFile("/flag".into())), ..Layer::default() };
    let key = |layer| Settings::resolve(layer, None, &surroundings).unwrap().key;
    assert_eq!(key(environment.clone().over(file)), KeyChoice::PassphraseFile("/secret".into()));
    assert_eq!(key(flags.over(environment)), KeyChoice::KeyFile("/flag".into()));
    let both = Surroundings::of(&[("TIDEFS_KEY_FILE", "/k"), ("TIDEFS_PASSPHRASE_FILE", "/p")]);
    let error = Layer::from_environment(&both).unwrap_err();
    assert!(matches!(error, ConfigError::InEnvironment { name: "TIDEFS_PASSPHRASE_FILE", .. }), "{error}");
}

#[test]
fn the_key_is_never_below_the_data_whatever_the_spelling() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for key in [data.join("tidefs.key"), link.join("new/tidefs.key"), data.join("x/../tidefs.key")] {
        let layer = Layer {
            data: Some(data.clone()),
            key: Some(KeyChoice::KeyFile(key.clone())),
            ..Layer::default()
        };
        let result = Settings::resolve(layer, None, &home());
        assert!(matches!(result, Err(ConfigError::KeyInData { .. })), "{}", key.display());
    }
    let beside = Layer {
        data: Some(data),
        key: Some(KeyChoice::KeyFile(directory.path().join("data.key"))),
        ..Layer::default()
    };
    assert!(Settings::resolve(beside, None, &home()).is_ok());
}

#[test]
fn two_mount_targets_cannot_share_an_address() {
    let text = "listen = \"127.0.0.1:2049\"\n[[mount_target]]\nfile_system = \"fs-0123456789abcdef0\"\n\
                listen = \"127.0.0.1:2049\"\n";
    let layer = parse_file(text, &home()).unwrap();
    let result = Settings::resolve(layer, None, &home());
    assert!(matches!(result, Err(ConfigError::SameListen { .. })));
}
