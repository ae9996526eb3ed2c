//! Programs whose output no real machine has the same: what the machine says about itself, its files, its
//! network.

use super::{out, run_in, sh};
use crate::files::{CAPACITY, Files};

#[test]
fn the_machine_describes_itself() {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let env = format!("HOME=/root\nNAME=golem\nPATH={path}\nPWD=/golem/work\n");
    for (script, expected) in [
        ("uname -a", "Linux golem 6.1.0 #1 SMP x86_64 GNU/Linux\n"),
        ("hostname; cat /etc/hostname", "golem\ngolem\n"),
        ("id", "uid=0(root) gid=0(root) groups=0(root)\n"),
        ("whoami; nproc; arch", "root\n1\nx86_64\n"),
        ("grep peer /etc/hosts", "192.168.0.2\tpeer\n"),
        (
            "grep 'model name' /proc/cpuinfo | cut -d : -f 2",
            " Simulated CPU\n",
        ),
        (
            "free -m | sed -n 2p | tr -s ' '",
            "Mem: 2048 1024 1024 0 0 1024\n",
        ),
        (
            "df / | tail -n 1 | tr -s ' '",
            "overlay 524288 0 524288 0% /\n",
        ),
        ("ps | wc -l", "4\n"),
        (
            "cat /proc/uptime; sleep 5; cat /proc/uptime",
            "0.00 0.00\n5.00 0.00\n",
        ),
        (
            "which ls sh; command -v python3",
            "/usr/bin/ls\n/usr/bin/sh\n",
        ),
        (
            "ls / | tr '\\n' ' '",
            "bin dev docker-entrypoint.sh etc golem home mnt opt proc root run sbin tmp usr var ",
        ),
        ("env", &env),
    ] {
        let exit = sh(script);
        assert_eq!(String::from_utf8_lossy(&exit.stdout), expected, "{script}");
    }
}

#[test]
fn long_listings_look_like_the_real_ones() {
    assert_eq!(
        out("printf hello > b; mkdir a; chmod 755 b; sleep 60; touch c; ls -l"),
        "total 8\ndrwxr-xr-x 2 root root 4096 Nov 22 01:35 a\n-rwxr-xr-x 1 root root    5 Nov 22 01:35 b\n\
         -rw-r--r-- 1 root root    0 Nov 22 01:36 c\n"
    );
    assert_eq!(
        out("head -c 5000 /dev/zero > f; ls -lh f | cut -d' ' -f5"),
        "4.9K\n"
    );
    assert_eq!(out("touch a; sleep 1; touch b; ls -t"), "b\na\n");
}

#[test]
fn the_network_is_away() {
    for (script, code, message) in [
        (
            "curl https://example.org/a",
            6,
            "curl: (6) Could not resolve host: example.org\n",
        ),
        (
            "wget http://example.org",
            4,
            "wget: unable to resolve host address 'example.org'\n",
        ),
        (
            "ping -c 1 example.org",
            2,
            "ping: example.org: Temporary failure in name resolution\n",
        ),
        (
            "ping 10.0.0.1 -c 4",
            2,
            "ping: connect: Network is unreachable\n",
        ),
    ] {
        let exit = sh(script);
        assert_eq!(
            (exit.code, String::from_utf8_lossy(&exit.stderr).as_ref()),
            (code, message)
        );
    }
}

#[test]
fn randomness_is_the_machine_s_own() {
    let script = "head -c 16 /dev/urandom | sha256sum";
    assert_eq!(out(script), out(script));
    assert_eq!(
        out("head -c 3000 /dev/urandom > r; cp r s; wc -c < s"),
        "3000\n"
    );
}

#[test]
fn a_full_disk_is_told() {
    assert_eq!(sh("echo x > /dev/full; echo $?").stdout, b"1\n");
    let mut files = Files::default();
    files
        .write("/golem/work/big", vec![0; CAPACITY - 10])
        .expect("room");
    let exit = run_in(
        &mut files,
        "/bin/sh",
        &["-c", "echo more than ten bytes > f; echo $?"],
    );
    assert!(
        String::from_utf8_lossy(&exit.stderr).contains("No space left on device"),
        "{exit:?}"
    );
    assert_eq!(exit.stdout, b"1\n");
}
