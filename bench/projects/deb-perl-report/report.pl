#!/usr/bin/perl
use strict;
use warnings;
use JSON;

local $/;
open my $file, '<', 'data.json' or die;
my $rows = decode_json(<$file>);
printf "%-6s %3d\n", $_->{name}, $_->{count} for sort { $a->{count} <=> $b->{count} } @$rows;
