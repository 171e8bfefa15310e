import EnsignHost
import Testing

/// What of git's words is passed on.
@Suite struct GitComplaintTests {
    @Test(
        "The line in which git says why is taken, not the advice after it",
        arguments: [
            (
                "fatal: '/srv/forge.git' does not appear to be a git repository\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
                "fatal: '/srv/forge.git' does not appear to be a git repository"
            ),
            (
                "git@forge.example: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n\nPlease make sure\n",
                "git@forge.example: Permission denied (publickey). (fatal: Could not read from remote repository.)"
            ),
            (
                "error: cannot lock ref 'refs/remotes/origin/main': Unable to create '/x.lock': File exists.\n\nAnother git process seems to be running\nremove the file manually to continue.\n",
                "error: cannot lock ref 'refs/remotes/origin/main': Unable to create '/x.lock': File exists."
            ),
            (
                "To /srv/forge.git\n ! [rejected]        a -> a (fetch first)\nerror: failed to push some refs to '/srv/forge.git'\nhint: See the 'Note about fast-forwards'\n",
                "! [rejected]        a -> a (fetch first)"
            ),
            (
                "remote: \nremote: branches are made by people        \nremote: ask\nTo /srv/forge.git\n ! [remote rejected] a -> a (pre-receive hook declined)\n",
                "! [remote rejected] a -> a (pre-receive hook declined): branches are made by people"
            ),
            (
                "To /srv/forge.git\n ! [remote rejected] a -> a (pre-receive hook declined)\n",
                "! [remote rejected] a -> a (pre-receive hook declined)"
            ),
            ("something went wrong\nand more\n", "something went wrong"),
            ("fatal: Could not read from remote repository.\n", "fatal: Could not read from remote repository."),
        ]
    )
    func reasons(_ said: String, _ reason: String) {
        #expect(GitComplaint.reason(in: said) == reason)
    }

    @Test("Nothing said gives no reason, and what is long is cut")
    func edges() {
        #expect(GitComplaint.reason(in: "") == nil)
        #expect(GitComplaint.reason(in: "\n \n") == nil)
        let long = GitComplaint.reason(in: "fatal: " + String(repeating: "x", count: 5_000)) ?? ""
        #expect(long.utf8.count <= 500)
    }

    @Test("Credentials in addresses are left out")
    func credentials() {
        let said = "fatal: unable to access 'https://ada:s3cret@forge.example/fleet.git/': error: 403"
        let reason = GitComplaint.reason(in: said) ?? ""
        #expect(reason == "fatal: unable to access 'https://forge.example/fleet.git/': error: 403")
        #expect(GitComplaint.reason(in: "fatal: ssh://a@b and https://token@c/x") == "fatal: ssh://b and https://c/x")
        for (query, shown) in [
            ("?access_token=s3cret", "?access_token=***"), ("?a=s3cret&b=s3cret/", "?a=***&b=***"), ("?s3cret", "?***"),
            ("?a=b=s3cret", "?a=***"), ("?a=s3cret;b=s3cret#s3cret", "?a=***;b=***#***"),
            ("#token=s3cret", "#token=***"),
            ("?a=", "?a="),
        ] {
            let reason = GitComplaint.reason(
                in: "fatal: unable to access 'https://h:1/x\(query)': 403 at https://h/?s3cret"
            )
            #expect(reason == "fatal: unable to access 'https://h:1/x\(shown)': 403 at https://h/?***")
        }
    }
}
