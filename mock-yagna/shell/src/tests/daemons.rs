//! Daemons, keys and passwords, as the start scripts of usual images ask for them.

use super::{run_in, sh};
use crate::files::Files;
use crate::places::{NGINX_PID, SSHD_PID};

/// What a script prints on both outputs, and its exit code, on a machine that is kept.
fn told(files: &mut Files, script: &str) -> (String, String, i32) {
    let exit = run_in(files, "/bin/bash", &["-c", script]);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(exit.stdout), text(exit.stderr), exit.code)
}

#[test]
fn an_ssh_server_starts_once_there_are_keys_and_only_once() {
    let mut files = Files::default();
    let mut told = |script: &str| told(&mut files, script);
    assert_eq!(told("syslogd"), Default::default());
    let no_keys = "sshd: no hostkeys available -- exiting.\n".to_owned();
    assert_eq!(told("/usr/sbin/sshd"), (String::new(), no_keys, 1));
    let made = "ssh-keygen: generating new host keys: RSA ECDSA ED25519 \n".to_owned();
    assert_eq!(told("ssh-keygen -A"), (made, String::new(), 0));
    let (kept, ..) = told("cat /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(
        kept.starts_with("ssh-ed25519 ") && kept.ends_with(" root@golem\n"),
        "{kept}"
    );
    assert_eq!(told("ssh-keygen -A"), Default::default());
    assert_eq!(told("cat /etc/ssh/ssh_host_ed25519_key.pub").0, kept);
    assert_eq!(told("/usr/sbin/sshd"), Default::default());
    let (_, why, code) = told("/usr/sbin/sshd");
    assert!(
        why.ends_with("Cannot bind any address.\n") && code == 255,
        "{why}"
    );
    assert_eq!(told("kill $(cat /run/sshd.pid)"), Default::default());
    assert_eq!(told("/usr/sbin/sshd"), Default::default());
    assert!(files.contains(SSHD_PID));
}

#[test]
fn a_password_is_asked_for_twice() {
    let asked = "New password: Retype new password: ";
    let kept =
        "passwd: Authentication token manipulation error\npasswd: password unchanged\n".to_owned();
    for (script, answer, code) in [
        (
            r#"echo -e "pw\npw" | passwd"#,
            format!("{asked}passwd: password updated successfully\n"),
            0,
        ),
        (
            r#"echo -e "pw\npv" | passwd root"#,
            format!("{asked}Sorry, passwords do not match.\n{kept}"),
            10,
        ),
        (
            "echo pw | passwd",
            format!("{asked}Password change has been aborted.\n{kept}"),
            10,
        ),
        (
            "passwd ada",
            "passwd: user 'ada' does not exist\n".into(),
            1,
        ),
        ("echo root:pw | chpasswd", String::new(), 0),
        (
            "echo root | chpasswd",
            "chpasswd: line 1: missing new password\nchpasswd: error detected, changes ignored\n"
                .into(),
            1,
        ),
    ] {
        let seen = told(&mut Files::default(), script);
        assert_eq!(seen, (String::new(), answer, code), "{script}");
    }
}

#[test]
fn a_web_server_is_prepared_started_and_stopped() {
    let mut files = Files::default();
    for (program, args) in [
        ("/docker-entrypoint.sh", &[][..]),
        ("/bin/chmod", &["a+x", "/"]),
        (
            "/bin/sh",
            &["-c", "echo Hello > /usr/share/nginx/html/index.html"],
        ),
        (
            "/bin/rm",
            &["/var/log/nginx/access.log", "/var/log/nginx/error.log"],
        ),
        ("/usr/sbin/nginx", &[]),
    ] {
        let exit = run_in(&mut files, program, args);
        assert_eq!((exit.code, exit.stderr), (0, Vec::new()), "{program}");
    }
    let mut told = |script: &str| told(&mut files, script);
    let logs = "access.log\nerror.log\n".to_owned();
    assert_eq!(told("ls /var/log/nginx").0, logs, "made anew");
    let busy = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n\
                nginx: [emerg] still could not bind()\n";
    assert_eq!(told("nginx"), (String::new(), busy.into(), 1));
    assert_eq!(told("nginx -s reload && nginx -s quit"), Default::default());
    let away =
        format!("nginx: [error] open() \"{NGINX_PID}\" failed (2: No such file or directory)\n");
    assert_eq!(told("nginx -s stop"), (String::new(), away, 1));
    assert_eq!(
        told("/docker-entrypoint.sh nginx -g 'daemon off;' & sleep 1; cat /run/nginx.pid").0,
        "47\n"
    );
}

#[test]
fn a_removed_file_of_the_image_stays_away_until_it_is_written() {
    let mut files = Files::default();
    let mut told = |script: &str| told(&mut files, script);
    assert_eq!(told("rm /etc/hosts"), Default::default());
    assert_eq!(told("ls /etc/hosts").2, 2);
    assert_eq!(told("echo own > /etc/hosts; cat /etc/hosts").0, "own\n");
    assert_eq!(told("rm /etc/hosts; cat /etc/hosts").2, 1);
    assert_eq!(told("rm -r /var/log; ls /var/log/nginx").0, "");
    assert_eq!(told("rm /proc/cpuinfo").2, 1, "not a file on a disk");
}

#[test]
fn programs_of_large_images_stay_absent() {
    for program in ["node", "python3", "npm", "espeak", "blender", "ollama"] {
        assert_eq!(sh(program).code, 127, "{program}");
    }
}
