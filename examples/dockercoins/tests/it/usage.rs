//! Wrong settings.

use crate::world::command;

#[tokio::test]
async fn a_wrong_setting_is_said_in_one_line() {
    for (program, arguments, code, said) in [
        ("worker", ["--redis", "redis"], 2, "expected a host and a port, like 127.0.0.1:6379"),
        ("worker", ["--redis", "redis:0"], 2, "expected a host and a port, like 127.0.0.1:6379"),
        ("webui", ["--redis", ":6379"], 2, "expected a host and a port, like 127.0.0.1:6379"),
        ("webui", ["--redis", "my redis:1"], 2, "expected a host and a port, like 127.0.0.1:6379"),
        (
            "rng",
            ["--listen", "80"],
            2,
            "expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001",
        ),
        ("hasher", ["--drain", "soon"], 2, "--drain (DRAIN)"),
        (
            "hasher",
            ["--listen", "192.0.2.1:0"],
            1,
            "192.0.2.1:0 is not an address of this machine: set another with --listen (LISTEN)",
        ),
        ("rng", ["health", "--listen"], 2, "--listen"),
    ] {
        let output = command(program).args(arguments).output().await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{program} {arguments:?}: {text}");
        assert!(text.contains(said), "{program} {arguments:?}: {text}");
        assert!(code == 2 || text.lines().count() == 1, "{text}");
    }
}

#[tokio::test]
async fn each_program_has_its_own_help() {
    for (program, about, port) in [
        ("rng", "Random bytes: GET /32 returns 32 of them", "8011"),
        ("hasher", "SHA-256 in hex: POST / returns that of the body", "8012"),
        ("worker", "Mines coins", "8013"),
        ("webui", "A page with the coins and hashes per second", "8000"),
    ] {
        let output = command(program).arg("--help").output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text.starts_with(about), "{text}");
        assert!(text.contains(&format!("Usage: {program} [OPTIONS]")), "{text}");
        assert!(text.contains(&format!("[default: 0.0.0.0:{port}]")), "{text}");
        assert_eq!(text.contains("--redis"), matches!(program, "worker" | "webui"), "{text}");
    }
}
