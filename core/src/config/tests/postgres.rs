use super::*;

fn url(text: &str) -> PostgresUrl {
    match with(|raw| raw.store = text.to_owned()).expect(text).store {
        StoreUrl::Postgres(url) => *url,
        other => panic!("{other:?}"),
    }
}

fn tcp(host: &str) -> PostgresHost {
    PostgresHost::Tcp(host.to_owned())
}

#[test]
fn connection_strings_are_taken_as_the_platforms_print_them() {
    let neon = url("postgresql://app:npg_Sx1%2By@ep-cool-darkness-123456-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require");
    assert_eq!(neon.host, tcp("ep-cool-darkness-123456-pooler.eu-central-1.aws.neon.tech"));
    assert_eq!((neon.port, neon.user.as_str(), neon.password.as_deref()), (5432, "app", Some("npg_Sx1+y")));
    assert_eq!((neon.database.as_str(), neon.tls), ("neondb", PostgresTls::Asked));
    assert_eq!((neon.channel_binding, neon.application_name.as_str()), (ChannelBinding::Require, "mayfly"));

    let supabase =
        url("postgres://postgres.abcdefghij:p%40ss%2Fw%3F@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true&supa=base-pooler.x");
    assert_eq!((supabase.port, supabase.user.as_str()), (6543, "postgres.abcdefghij"));
    assert_eq!((supabase.password.as_deref(), supabase.tls), (Some("p@ss/w?"), PostgresTls::Asked));

    let rds = url("postgres://app:x@db.abc.eu-west-1.rds.amazonaws.com/app?sslmode=verify-full&sslrootcert=/opt/rds/global-bundle.pem&connect_timeout=7");
    assert_eq!(rds.root_cert, Some(PathBuf::from("/opt/rds/global-bundle.pem")));
    assert_eq!((rds.tls, rds.connect_timeout), (PostgresTls::Asked, Some(Duration::from_secs(7))));

    let prisma =
        url("postgresql://u:p@db.example:5432/d?schema=public&connection_limit=1&sslaccept=strict&pool_timeout=0");
    assert_eq!((prisma.tls, prisma.channel_binding), (PostgresTls::Asked, ChannelBinding::Prefer));

    let direct = url(
        "postgres://u:p@db.example/d?sslmode=require&sslnegotiation=direct&sslrootcert=system&application_name=shop",
    );
    assert_eq!((direct.tls, direct.root_cert, direct.application_name.as_str()), (PostgresTls::Direct, None, "shop"));
}

#[test]
fn a_socket_is_a_directory_behind_the_question_mark_or_percent_encoded_before_it() {
    for (text, port) in [
        ("postgres:///d?host=/var/run/postgresql&user=u", 5432),
        ("postgres://u@/d?host=/var/run/postgresql&port=6000", 6000),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", 5432),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql:6000/d", 6000),
    ] {
        let url = url(text);
        assert_eq!(
            (url.host, url.port, url.tls),
            (PostgresHost::Socket("/var/run/postgresql".into()), port, PostgresTls::Off)
        );
        assert_eq!((url.user.as_str(), url.password, url.database.as_str()), ("u", None, "d"));
    }
}

#[test]
fn tls_is_left_out_only_on_this_machine_or_by_explicit_word() {
    for (text, tls) in [
        ("postgres://u@db.example/d", PostgresTls::Asked),
        ("postgres://u@db.example/d?sslmode=prefer", PostgresTls::Asked),
        ("postgres://u@db.example/d?sslmode=allow", PostgresTls::Asked),
        ("postgres://u@db.example/d?ssl=true", PostgresTls::Asked),
        ("postgres://u@10.0.0.7/d", PostgresTls::Asked),
        ("postgres://u@localhost.example/d", PostgresTls::Asked),
        ("postgres://u@db.example/d?sslmode=disable", PostgresTls::Off),
        ("postgres://u@localhost/d", PostgresTls::Off),
        ("postgres://u@127.0.0.2/d", PostgresTls::Off),
        ("postgres://u@[::1]/d", PostgresTls::Off),
        ("postgres:///d?host=::1&user=u", PostgresTls::Off),
        ("postgres://u@localhost/d?sslmode=require", PostgresTls::Asked),
    ] {
        assert_eq!(url(text).tls, tls, "{text}");
    }
}

#[test]
fn what_is_left_out_has_the_defaults_of_postgresql_and_parts_may_stand_behind_the_question_mark() {
    let short = url("postgres://u@db.example");
    assert_eq!((short.port, short.database.as_str(), short.password), (5432, "u", None));
    let long = url("postgres:///?host=db.example&port=5433&user=u&password=s3&dbname=d");
    assert_eq!((long.host, long.port), (tcp("db.example"), 5433));
    assert_eq!((long.user.as_str(), long.password.as_deref(), long.database.as_str()), ("u", Some("s3"), "d"));
    // An '@' in a password that was not encoded is no question: a host has none.
    assert_eq!(url("postgres://u:p@ss@db.example/d").password.as_deref(), Some("p@ss"));
}

#[test]
fn what_would_change_what_the_user_gets_is_refused_by_name_and_never_swallowed() {
    for (rest, expected) in [
        ("db.example/d", "names no user"),
        ("hunter2:hunter2@/d", "names no host"),
        ("u:hunter2@a,b/d", "several hosts"),
        ("u:hunter2@db.example/d?host=other", "twice"),
        ("u:hunter2@db.example:1/d?port=2", "twice"),
        ("u:hunter2@db.example:0/d", "port"),
        ("u:hunter2@db.example/d?port=x", "'port'"),
        ("u:hunt/er2@db.example/d", "percent-encode"),
        ("u:hunt#er2@db.example/d", "percent-encode"),
        ("u:hunt?er2@db.example/d", "percent-encode"),
        ("u:%zzhunter2@db.example/d", "'%' in its password"),
        ("u:%00@db.example/d", "no text"),
        ("u:hunter2 @db.example/d", "whitespace"),
        ("u:hunter2@db.example/d\n", "whitespace"),
        ("u:hunter2@db.example/d?sslmode=strict", "verify-full"),
        ("u:hunter2@db.example/d?sslmode=no-verify", "always verified"),
        ("u:hunter2@db.example/d?sslmode=require&ssl=true", "keep sslmode"),
        ("u:hunter2@db.example/d?ssl=false", "sslmode=disable"),
        ("u:hunter2@localhost/d?channel_binding=require", "without TLS"),
        ("u:hunter2@db.example/d?channel_binding=yes", "does not exist"),
        ("u:hunter2@localhost/d?sslnegotiation=direct", "without TLS"),
        ("u@/d?host=/run&sslmode=require", "Unix socket"),
        ("u:hunter2@db.example/d?connect_timeout=soon", "number of seconds"),
        ("u:hunter2@db.example/d?options=-c%20x", "'options', which poolers"),
        ("u:hunter2@db.example/d?sslcert=x", "'sslcert', but client certificates"),
        ("u:hunter2@db.example/d?target_session_attrs=standby", "'target_session_attrs'"),
        ("u:hunter2@db.example/d?synchronous_commit=off", "'synchronous_commit'"),
        ("u:hunter2@db.example/d?Hunter2%", "with a name that is none"),
        ("u:hunter2@db.example/d?sslmode=require&sslmode=disable", "'sslmode' twice"),
    ] {
        let message = refused("store", |raw| raw.store = format!("postgres://{rest}"));
        assert!(message.contains(expected), "{rest}: {message}");
        assert!(!message.to_lowercase().contains("hunt") && !message.contains("er2"), "{message}");
    }
}

#[test]
fn neither_login_nor_password_shows_in_debug() {
    let shown = format!("{:?}", with(|raw| raw.store = "postgres://admin:hunter2@db.example/d".to_owned()).unwrap());
    assert!(shown.contains("db.example port 5432"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("admin"), "{shown}");
}

#[test]
fn mainnet_takes_a_postgresql_database() {
    let config = with(|raw| {
        raw.network = "mainnet".to_owned();
        raw.store = "postgres://u:p@db.example/d".to_owned();
    });
    assert!(matches!(config.unwrap().store, StoreUrl::Postgres(_)));
}
