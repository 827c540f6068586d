import ArgumentParser

/// The command `twofactor`.
struct SetupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "twofactor",
    abstract: "Set up two-factor login for your account.",
    discussion: """
      With two-factor on, a login asks for a code from an app on your phone after the password. Every \
      subcommand acts for the account that runs it; root names another one with --user.

      Begin with: twofactor enable
      """,
    version: "0.1.0",
    subcommands: [
      EnableCommand.self, DisableCommand.self, StatusCommand.self, BackupCodesCommand.self, DeviceCommand.self,
      ShowCommand.self, VerifyCommand.self, ImportCommand.self, UsersCommand.self, UnlockCommand.self,
      DoctorCommand.self, TestCommand.self,
    ])
}
