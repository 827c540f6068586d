import TwoFactorSetup

/// The command `twofactor`.
@main
enum TwoFactor {
  static func main() {
    SetupProgram.main()
  }
}
