import TwoFactorSetup

@main
enum TwoFactor {
  static func main() {
    SetupProgram.main()
  }
}
