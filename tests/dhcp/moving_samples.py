"""A configuration of each kind with what an administrator usually writes, and an organisation for it."""

from __future__ import annotations

from dataclasses import replace

from holdfast.dhcp.moving import Arrival
from holdfast.directory.checks import check_organisation
from holdfast.directory.model import Organisation, Role, Server, Site
from holdfast.kernel.errors import Problem

EMPTY = Organisation(
    sites=(Site("Main"),),
    servers=(
        Server("dhcp1", "dhcp1.example.test", "Main", (Role.DHCP,)),
        Server("dhcp2", "dhcp2.example.test", "Main", (Role.DHCP,)),
    ),
)


def problems_of(arrival: Arrival) -> list[Problem]:
    """What the directory finds wrong with what arrived, on a server that had nothing."""
    arrived = replace(
        EMPTY,
        scopes=tuple(arrival.scopes),
        reservations=tuple(arrival.reservations),
        dhcp_classes=tuple(arrival.classes),
        option_definitions=tuple(arrival.definitions),
        mac_filters=tuple(arrival.filters),
        dhcp_servers=(arrival.server,),
    )
    return list(check_organisation(arrived))


def notes_of(arrival: Arrival) -> list[tuple[int, str, str]]:
    """Line, fate and text of the notes."""
    return [(int(each.place.rpartition(" ")[2]), each.fate.value, each.what) for each in arrival.notes]


ISC = rb"""# our office
authoritative;
default-lease-time 3600; max-lease-time 7200; min-lease-time 600;
option domain-name "office.example";
option domain-name-servers 192.0.2.2, 192.0.2.3;
option domain-search "office.example", "lab.example";
option space PXE;
option PXE.menu code 9 = array of unsigned integer 8;
option PXE.boot code 8 = ip-address;
option phones code 224 = { ip-address, unsigned integer 16 };
option rfc3442 code 121 = array of integer 8;
ddns-update-style none;
log-facility local7;
include "/etc/dhcp/more.conf";
key "omapi" { algorithm hmac-md5; secret "c2VjcmV0"; }
failover peer "office" { primary; address 192.0.2.2; }

class "pxe" {
  match if substring(option vendor-class-identifier, 0, 9) = "PXEClient";
  next-server 192.0.2.9;
  filename "pxelinux.0";
  option PXE.boot 192.0.2.9;
  vendor-option-space PXE;
}
class "odd" { match if exists agent.circuit-id; option host-name "odd"; }
class "lab" { match hardware; }
subclass "lab" 1:02:00:00:00:00:aa;
subclass "lab" 1:02:00:00:00:00:bb;

shared-network floor {
  option routers 192.0.2.1;
  subnet 192.0.2.0 netmask 255.255.255.0 {
    range 192.0.2.100 192.0.2.149;
    range dynamic-bootp 192.0.2.160 192.0.2.199;
    option phones 192.0.2.5 5060;
    option rfc3442 24, 192,168,1, 192,0,2,254;
    filename "office.0";
    frobnicate on;
  }
  subnet 198.51.100.0 netmask 255.255.255.0 {
    default-lease-time 600;
    pool {
      range 198.51.100.10 198.51.100.20;
      allow members of "lab";
      deny unknown-clients;
    }
    pool { range 198.51.100.30 198.51.100.255; option routers 198.51.100.1; }
  }
}
subnet 203.0.113.0 netmask 255.255.255.0 { default-lease-time -1; }

group {
  option host-name "printer";
  host printer { hardware ethernet 2:0:0:0:99:1; fixed-address 192.0.2.50; }
  host scanner {
    option dhcp-client-identifier "\001scan";
    fixed-address 192.0.2.51, scanner.example, 10.9.9.9;
    filename "scan";
  }
}
host roaming { hardware ethernet 02:00:00:00:99:02; }
host nobody { fixed-address 192.0.2.52; }
if option host-name = "x" { option host-name "y"; }
"""

KEA = rb"""{
  // our office
  "Dhcp4": {
    "authoritative": true,
    "valid-lifetime": 3600, "max-valid-lifetime": 7200, "renew-timer": 900,
    "interfaces-config": { "interfaces": [ "eth0/192.0.2.2", "eth1" ], "dhcp-socket-type": "raw" },
    "lease-database": { "type": "memfile" },
    "control-socket": { "socket-type": "unix", "socket-name": "/run/kea.sock" },
    "hooks-libraries": [ { "library": "libdhcp_ha.so" } ],
    "frobnicate": 7,
    "option-def": [
      { "name": "phones", "code": 224, "type": "record", "record-types": "ipv4-address, uint16" },
      { "name": "boot", "code": 8, "space": "vendor-encapsulated-options-space", "type": "ipv4-address" },
      { "name": "pair", "code": 225, "type": "psid" }
    ],
    "option-data": [
      { "name": "domain-name-servers", "data": "192.0.2.2, 192.0.2.3" },
      { "code": 15, "data": "office.example", "always-send": true },
      { "name": "mystery", "data": "1" }
    ],
    "client-classes": [
      { "name": "pxe", "test": "substring(option[60].hex,0,9) == 'PXEClient'",
        "next-server": "192.0.2.9", "boot-file-name": "pxelinux.0",
        "option-data": [
          { "name": "boot", "space": "vendor-encapsulated-options-space", "data": "192.0.2.9" } ] },
      { "name": "lab", "test": "pkt4.mac == 0x0200000000aa or pkt4.mac == 0x0200000000bb" },
      { "name": "odd", "test": "option[82].exists", "boot-file-name": "odd" }
    ],
    "reservations": [ { "hw-address": "02:00:00:00:99:09", "ip-address": "198.51.100.40" } ],
    "shared-networks": [ {
      "name": "floor",
      "option-data": [ { "name": "routers", "data": "192.0.2.1" } ],
      "subnet4": [
        { "id": 1, "subnet": "192.0.2.0/24", "user-context": { "name": "Office" },
          "pools": [ { "pool": "192.0.2.100 - 192.0.2.149" }, { "pool": "192.0.2.160-192.0.2.199" } ],
          "option-data": [
            { "name": "phones", "data": "192.0.2.5, 5060" },
            { "code": 121, "csv-format": false, "data": "18C0A801C00002FE" }
          ],
          "relay": { "ip-addresses": [ "10.0.0.1" ] },
          "reservations": [
            { "hw-address": "02:00:00:00:99:01", "ip-address": "192.0.2.50", "hostname": "printer",
              "option-data": [ { "name": "host-name", "data": "printer" } ] },
            { "client-id": "'\u0001scan'", "ip-address": "192.0.2.51", "client-classes": [ "vip" ] },
            { "duid": "01:02:03", "ip-address": "192.0.2.52" },
            { "hw-address": "02:00:00:00:99:02", "hostname": "roaming" }
          ] },
        { "id": 2, "subnet": "198.51.100.0/24", "valid-lifetime": 600,
          "pools": [
            { "pool": "198.51.100.10 - 198.51.100.20", "client-class": "lab" },
            { "pool": "198.51.100.32/27" }
          ] }
      ] } ],
    "subnet4": [ { "id": 3, "subnet": "203.0.113.0/24", "valid-lifetime": 4294967295, "interface": "eth1" } ]
  }
}
"""

WINDOWS = b"""<?xml version="1.0" encoding="utf-8"?>
<DHCPServer xmlns="http://schemas.microsoft.com/windows/DHCPServer">
  <MajorVersion xmlns="">10</MajorVersion>
  <IPv4 xmlns="">
    <ConflictDetectionAttempts>2</ConflictDetectionAttempts>
    <NapEnabled>false</NapEnabled>
    <ActivatePolicies>true</ActivatePolicies>
    <Classes>
      <Class><Name>Phones</Name><Type>Vendor</Type><Data>0x50686f6e65</Data><Description>desks</Description></Class>
      <Class><Name>Lab</Name><Type>User</Type><Data>0x6c6162</Data><Description /></Class>
    </Classes>
    <OptionDefinitions>
      <OptionDefinition><Name>Router</Name><OptionId>3</OptionId><Type>IPv4Address</Type>
        <MultiValued>true</MultiValued><VendorClass /></OptionDefinition>
      <OptionDefinition><Name>Gatekeeper</Name><OptionId>224</OptionId><Type>IPv4Address</Type>
        <MultiValued>true</MultiValued><VendorClass /></OptionDefinition>
      <OptionDefinition><Name>Volume</Name><OptionId>7</OptionId><Type>Word</Type>
        <MultiValued>false</MultiValued><VendorClass>Phones</VendorClass></OptionDefinition>
    </OptionDefinitions>
    <OptionValues>
      <OptionValue><OptionId>6</OptionId><Value>192.0.2.2</Value><Value>192.0.2.3</Value></OptionValue>
      <OptionValue><OptionId>7</OptionId><Value>11</Value><VendorClass>Phones</VendorClass></OptionValue>
    </OptionValues>
    <Policies>
      <Policy><Name>phones</Name><ProcessingOrder>1</ProcessingOrder><Enabled>true</Enabled><Condition>OR</Condition>
        <VendorClass>EQ</VendorClass><VendorClass>Phones*</VendorClass>
        <OptionValues><OptionValue><OptionId>224</OptionId><Value>192.0.2.5</Value></OptionValue></OptionValues>
      </Policy>
    </Policies>
    <Filters><Allow>false</Allow><Deny>true</Deny>
      <Filter><List>Deny</List><MacAddress>CC-DD-EE-FF-11-11</MacAddress><Description>lost</Description></Filter>
      <Filter><List>Deny</List><MacAddress>02-AA*</MacAddress><Description /></Filter>
    </Filters>
    <FrobnicationLevel>7</FrobnicationLevel>
    <Scopes>
      <Scope>
        <ScopeId>192.0.2.0</ScopeId><Name>Office</Name><SubnetMask>255.255.255.0</SubnetMask>
        <StartRange>192.0.2.10</StartRange><EndRange>192.0.2.200</EndRange>
        <LeaseDuration>8.00:00:00</LeaseDuration><State>Active</State><Type>Both</Type>
        <MaxBootpClients>4294967295</MaxBootpClients><Delay>20</Delay><Description>first floor</Description>
        <ActivatePolicies>true</ActivatePolicies><SuperScopeName>floor</SuperScopeName>
        <ExclusionRanges>
          <IPRange><StartRange>192.0.2.20</StartRange><EndRange>192.0.2.29</EndRange></IPRange>
        </ExclusionRanges>
        <OptionValues>
          <OptionValue><OptionId>3</OptionId><Value>192.0.2.1</Value></OptionValue>
          <OptionValue><OptionId>51</OptionId><Value>691200</Value></OptionValue>
          <OptionValue><OptionId>81</OptionId><Value>23</Value></OptionValue>
          <OptionValue><OptionId>121</OptionId><Value>0x18</Value><Value>0xc0</Value><Value>0xa8</Value>
            <Value>0x01</Value><Value>0xc0</Value><Value>0x00</Value><Value>0x02</Value><Value>0xfe</Value></OptionValue>
          <OptionValue><OptionId>15</OptionId><Value>lab.example</Value><UserClass>Lab</UserClass></OptionValue>
        </OptionValues>
        <Policies>
          <Policy><Name>second</Name><ProcessingOrder>2</ProcessingOrder><Enabled>false</Enabled>
            <Condition>AND</Condition><MacAddress>NE</MacAddress><MacAddress>02-00-5E*</MacAddress>
            <CircuitId>EQ</CircuitId><CircuitId>0102</CircuitId></Policy>
          <Policy><Name>first</Name><ProcessingOrder>1</ProcessingOrder><Enabled>true</Enabled>
            <Condition>OR</Condition><UserClass>EQ</UserClass><UserClass>Lab</UserClass>
            <OptionValues><OptionValue><OptionId>51</OptionId><Value>3600</Value></OptionValue></OptionValues>
            <IPRanges><IPRange><StartRange>192.0.2.190</StartRange><EndRange>192.0.2.200</EndRange></IPRange></IPRanges>
          </Policy>
          <Policy><Name>third</Name><ProcessingOrder>3</ProcessingOrder><Condition>AND</Condition>
            <Weather>EQ</Weather></Policy>
        </Policies>
        <Reservations>
          <Reservation><Name>printer</Name><IPAddress>192.0.2.50</IPAddress><ClientId>02-00-00-00-99-01</ClientId>
            <Type>Both</Type><Description>2nd floor</Description>
            <OptionValues><OptionValue><OptionId>12</OptionId><Value>printer</Value></OptionValue></OptionValues>
          </Reservation>
          <Reservation><Name>duid</Name><IPAddress>192.0.2.51</IPAddress>
            <ClientId>56-85-98-08-00-01-00-01-27-9c-3c-b3-00-50-56-ae-61-ca</ClientId><Type>Dhcp</Type></Reservation>
          <Reservation><Name>odd</Name><IPAddress>192.0.2.52</IPAddress>
            <ClientId>73-63-61-6e-6e-65-72</ClientId><Type>Dhcp</Type></Reservation>
        </Reservations>
        <Leases>
          <Lease><IPAddress>192.0.2.60</IPAddress><ClientId>02-00-00-00-00-60</ClientId><HostName>pc.example</HostName>
            <AddressState>Active</AddressState><LeaseExpiryTime>2026-12-01T08:00:00</LeaseExpiryTime></Lease>
          <Lease><IPAddress>192.0.2.50</IPAddress><ClientId>02-00-00-00-99-01</ClientId>
            <AddressState>ActiveReservation</AddressState></Lease>
          <Lease><IPAddress>192.0.2.51</IPAddress><ClientId>00</ClientId>
            <AddressState>InactiveReservation</AddressState></Lease>
          <Lease><IPAddress>192.0.2.61</IPAddress><ClientId>02-00-00-00-00-61</ClientId>
            <AddressState>Declined</AddressState><LeaseExpiryTime>2026-12-01T08:00:00+02:00</LeaseExpiryTime></Lease>
          <Lease><IPAddress>192.0.2.62</IPAddress><ClientId>02-00-00-00-00-62</ClientId>
            <AddressState>Expired</AddressState><LeaseExpiryTime>9999-12-31T23:59:59Z</LeaseExpiryTime></Lease>
          <Lease><IPAddress>192.0.2.63</IPAddress><ClientId>zz</ClientId></Lease>
        </Leases>
      </Scope>
      <Scope>
        <ScopeId>198.51.100.0</ScopeId><Name>Office</Name><SubnetMask>255.255.255.0</SubnetMask>
        <StartRange>198.51.100.10</StartRange><EndRange>198.51.100.20</EndRange>
        <LeaseDuration>10675199.02:48:05.4775807</LeaseDuration><State>InActive</State><Type>Dhcp</Type>
      </Scope>
    </Scopes>
  </IPv4>
  <IPv6 xmlns=""><Scopes><Scope><Prefix>2001:db8::</Prefix></Scope></Scopes></IPv6>
</DHCPServer>
"""
