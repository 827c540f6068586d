# FreeRADIUS on a verifier: /etc/freeradius/3.0/saslauthd.pl. Asks saslauthd, which runs the
# PAM service that Pam-Auth names. The reply to its prompt is the password of the request,
# or the password of the first question (Tmp-String-1) and the code of the second.
use strict;
use warnings;
use Socket;
use IO::Socket::UNIX;

our (%RAD_REQUEST, %RAD_CONFIG);
use constant { REJECT => 0, FAIL => 1, OK => 2 };

sub authenticate {
  my ($first, $second) = ($RAD_CONFIG{'Tmp-String-1'} // '', $RAD_REQUEST{'User-Password'});
  return REJECT if grep { !defined || ref } $first, $second;
  my @texts = ($RAD_REQUEST{'User-Name'}, "$first$second", $RAD_CONFIG{'Pam-Auth'}, '');
  return REJECT if grep { !defined || ref } @texts;
  utf8::encode($_) for grep { utf8::is_utf8($_) } @texts;

  my $server = IO::Socket::UNIX->new(Peer => '/run/saslauthd/mux') or return FAIL;
  $server->setsockopt(SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 15, 0)) or return FAIL;
  syswrite($server, pack('(n/a*)4', @texts)) or return FAIL;
  my $answer = '';
  while (length $answer < 4) {
    sysread($server, $answer, 4 - length $answer, length $answer) or return FAIL;
  }
  # Two bytes with the length, then OK or NO.
  return substr($answer, 2) eq 'OK' ? OK : REJECT;
}

1;
