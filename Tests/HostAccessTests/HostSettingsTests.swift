import Glibc
import HostAccess
import Testing

@Suite struct HostSettingsTests {
  @Test func aMissingFileMeansDefaults() throws {
    let settings = try HostSettings.load(from: "/nowhere/twofactor.conf")
    #expect(settings.requiresPassword && settings.allowsDisabling && settings.issuer == nil)
    #expect(settings.directoryTemplate == "~/.twofactor")
  }

  @Test func theOptionsOfTheCommandAreRead() throws {
    let settings = try HostSettings(
      text: """
        # a comment
        issuer = Example Ltd

        require_password=no
          allow_disable\t=  no
        window = 3
        directory = /var/lib/twofactor/%u
        notify = /usr/sbin/sendmail
        """)
    #expect(settings.issuer == "Example Ltd")
    #expect(!settings.requiresPassword && !settings.allowsDisabling)
    #expect(settings.limits.window == 3)
    #expect(settings.directoryTemplate == "/var/lib/twofactor/%u")
  }

  @Test func onlyRootEnrollsOutsideTheHomesAndTheHostStore() throws {
    for line in ["", "store = host", "directory = ~/x", "directory = %h/x", "directory = /var/lib/twofactor/users/%U"] {
      #expect(try HostSettings(text: line).isSelfService)
    }
    #expect(try !HostSettings(text: "store = host\ndirectory = /var/lib/twofactor/%u").isSelfService)
  }

  @Test func twoFactorIsEnforcedByEitherOption() throws {
    let (dayBefore, day): (Int64, Int64) = (1_798_761_599, 1_798_761_600)  // 2027-01-01 begins.
    #expect(try !HostSettings(text: "").enforcesTwoFactor(now: day))
    #expect(try HostSettings(text: "allow_disable = no").enforcesTwoFactor(now: day))
    let settings = try HostSettings(text: "nullok = yes\nrequired_from = 2027-01-01")
    #expect(!settings.enforcesTwoFactor(now: dayBefore))
    #expect(settings.enforcesTwoFactor(now: day))
  }

  @Test(arguments: [
    "windows = 3", "window", "window =", "window = 11", "window = 1\nwindow = 1", "require_password = maybe",
    "issuer = a:b", "notify = sendmail", "allow_disable = yes\nallow_disable = no", "= 3", "window = 3 # steps",
  ])
  func anInvalidLineIsAnError(text: String) {
    let error = #expect(throws: SetupError.self) { try HostSettings(text: text) }
    #expect(error?.status == .configuration)
    #expect(error?.message.contains("line") == true)
  }

  @Test func argumentsOfALoginAreReadAsTheModuleReadsThem() throws {
    let settings = try HostSettings.load(arguments: ["enroll=require", "echo_code", "backup_codes=no", "store=host"])
    #expect(settings.enrollment == .require && settings.echoesCode && settings.isHostStore)
    #expect(!settings.limits.acceptsBackupCodes)
    #expect(try HostSettings.load(arguments: []).enrollment == .no)
  }

  @Test(arguments: [
    ["enroll=perhaps"], ["windows=3"], ["enroll=no", "enroll=no"], ["issuer=Example"], ["conf=/nowhere/twofactor.conf"],
    ["conf=nowhere"], ["conf=/nowhere", "conf=/nowhere"], ["try_first_pass", "use_first_pass"],
    ["store=host", "owner=radius"], [""],
  ])
  func anInvalidArgumentIsAnError(arguments: [String]) {
    let error = #expect(throws: SetupError.self) { try HostSettings.load(arguments: arguments) }
    #expect(error?.status == .configuration)
  }

  @Test func aFileThatOthersCanWriteIsAnError() throws {
    var template = Array("/tmp/twofactor-conf-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    let path = String(terminated: template)
    defer {
      close(descriptor)
      unsafe unlink(path)
    }
    #expect(fchmod(descriptor, 0o666) == 0)
    let error = #expect(throws: SetupError.self) { try HostSettings.load(from: path) }
    #expect(error?.status == .configuration)
    #expect(throws: SetupError.self) { try HostSettings.load(from: "/dev/null") }
  }
}
